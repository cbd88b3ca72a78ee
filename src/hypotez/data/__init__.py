"""Training data: read from any file people keep questions and answers in, checked whole, counted. No torch, no HTTP.

``source`` finds the files, ``records`` reads them row by row, ``examples`` makes training examples of the rows,
``check`` says what is wrong with an example or a finished file, ``tokens`` and ``forecast`` what it will cost.
"""
