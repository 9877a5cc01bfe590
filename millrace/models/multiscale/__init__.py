"""The family `multiscale`: dense layers over the means of one history at several scales, beside the table's columns."""
