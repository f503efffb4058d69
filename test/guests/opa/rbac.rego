# Who may do what, by the roles that rbac/data.json gives.
#
# entrypoints: rbac/allow rbac/roles
# input: {"user": NAME, "action": NAME, "object": NAME}
package rbac

default allow := false

# Administrators may do everything.
allow if "admin" in roles

# Anyone else, what one of their roles is granted.
allow if {
	some role in roles
	some grant in data.grants[role]
	grant.action == input.action
	grant.object == input.object
}

# The roles of the user, those of a role's parents among them.
roles contains role if some role in data.users[input.user].roles

roles contains parent if {
	some role in data.users[input.user].roles
	some parent in data.parents[role]
}
