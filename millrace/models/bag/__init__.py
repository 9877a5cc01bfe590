"""The family `bag`: the weighted mean of the vectors of a text's n-grams, beside the table's numbers and categories."""
