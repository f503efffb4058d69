package a.b.c

import data.a.b

# A rule of a package that refers to another's.
deep := {"of": b.near, "question": object.get(input, "question", "none")}

set contains x if some x in ["b", "a", "b"]
