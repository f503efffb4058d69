package a.b

near := "near"

# Undefined without an input.
asked := input.question
