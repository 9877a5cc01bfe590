"""AWS Lambda; named as moto names it, since `lambda` is a word of Python."""
