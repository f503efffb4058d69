# The kinds of rules: complete, partial, undefined, a function's result; and every kind of value.
# The packages below `a` are in example/, so that /v1/data/a and /v1/data/a/b combine several rules.
#
# entrypoints: example example/allow example/admin example/names example/sizes example/figures example/texts
# entrypoints: example/nested example/evens example/echo example/kinds example/label example/tags
# entrypoints: a/b/asked a/b/near a/b/c/deep a/b/c/set a/d/far
package example

# Undefined unless the input says so.
allow if input.user == "alice"

# False is an answer, unlike undefined.
default admin := false

admin if input.user == "root"

# A partial set: sorted, and an array in JSON.
names contains person.name if some person in input.people

# A partial object.
sizes[name] := count(items) if some name, items in input.groups

figures := {
	"big": 12345678901234567890123456789,
	"exponent": 1.5e300,
	"float": 2.5,
	"integer": 42,
	"negative": -7,
	"product": 3 * 0.5,
	"quotient": 7 / 2,
	"remainder": 7 % 3,
	"round": round(2.5),
	"sum": 0.1 + 0.2,
	"zero": 0,
}

texts := {
	"ascii": "plain",
	"control": "tab\tnewline\nquote\"backslash\\",
	"emoji": "🦀",
	"empty": "",
	"html": "<a href='x'>&</a>",
	"japanese": "日本語",
	"length": count("日本語🦀"),
	"nul": "a\u0000b",
	"upper": upper("zoë"),
}

nested := {"array": [1, [2, [3, {"x": null}]]], "empty": {"array": [], "object": {}, "set": set()}, "object": {"a": {"b": {"c": true}}}}

evens := [n | some n in numbers.range(1, 10); n % 2 == 0]

# Returns the input.
echo := input

# The names of the kinds of the members of the input, if it is an object.
kinds := {key: type_name(value) | some key, value in input}

# A function, an else, a negation.
label := classify(input.level)

classify(level) := "low" if {
	level < 10
} else := "middle" if {
	level < 100
} else := "high"

# Objects whose keys are no strings: JSON has only strings.
tags := {1: "one", true: "yes", null: "none", [1, 2]: "pair", "1.5": "text"}
