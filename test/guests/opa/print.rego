# A rule that prints, once for each name. By default `opa build` erases print(); this one
# is compiled with it, and then it is a builtin of the host, internal.print.
#
# entrypoints: print/greeting
# keeps print
package print

greeting := text if {
	text := concat(" ", ["hello", input.name])
	print("greeting", input.name, 1.5, [1, "two"], {"three": 3}, {4})
	print("undefined", input.nothing, "here")
}
