"""Fine-tuning: one loop; methods differ by how a batch is built and what its loss is. Knows no HTTP and no SQL."""
