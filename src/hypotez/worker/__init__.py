"""Does what was asked and knows no HTTP: the queue, runs, and the supervision of training processes."""
