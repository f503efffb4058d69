# Permissions by the roles in rbac/data.json.
#
# entrypoints: rbac/allow rbac/roles
# input: {"user": NAME, "action": NAME, "object": NAME}
package rbac

default allow := false

# Administrators may do everything.
allow if "admin" in roles

# Everyone else may do what one of their roles is granted.
allow if {
	some role in roles
	some grant in data.grants[role]
	grant.action == input.action
	grant.object == input.object
}

# The roles of the user, including the parents of those roles.
roles contains role if some role in data.users[input.user].roles

roles contains parent if {
	some role in data.users[input.user].roles
	some parent in data.parents[role]
}
