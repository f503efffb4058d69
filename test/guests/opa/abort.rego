# Conflicts that end an evaluation: two values for one rule, for one key, for one call of a function.
#
# entrypoints: abort/rule abort/object abort/function abort/defined abort/division abort/unit
package abort

# Conflicts if the input names both.
rule := 1 if input.first

rule := 2 if input.second

object[key] := value if some key, value in input.first

object[key] := value if some key, value in input.second

function := pick(input.key)

pick(key) := 1 if startswith(key, "a")

pick(key) := 2 if endswith(key, "z")

# A builtin's error is no failure: the rule is undefined, the rest is not.
division := 1 / input.divisor

unit := units.parse(input.unit)

defined := "defined"
