# The builtins that a compiled policy leaves to its host, a rule for each, so that each has an answer of its own.
# Those that few policies need are in rare.rego. The rules whose names end with `_wrong` give the builtin an input that
# it rejects: they are undefined.
#
# entrypoints: builtins builtins/base64url_no_pad builtins/crypto_md5 builtins/crypto_sha1
# entrypoints: builtins/crypto_sha256 builtins/glob_quote_meta builtins/graph_reachable_paths
# entrypoints: builtins/hex_decode builtins/hex_decode_wrong builtins/hex_encode builtins/hmac_equal
# entrypoints: builtins/hmac_md5 builtins/hmac_sha1 builtins/hmac_sha256 builtins/hmac_sha512
# entrypoints: builtins/indexof_all builtins/json_marshal_with_options builtins/json_patch
# entrypoints: builtins/json_patch_wrong builtins/jwt_decode builtins/jwt_decode_verify
# entrypoints: builtins/jwt_decode_verify_late builtins/jwt_decode_wrong builtins/jwt_encode_sign
# entrypoints: builtins/jwt_encode_sign_raw builtins/jwt_verify_hs256 builtins/jwt_verify_hs384
# entrypoints: builtins/jwt_verify_hs512 builtins/net_cidr_contains_matches builtins/net_cidr_expand
# entrypoints: builtins/net_cidr_expand_v6 builtins/net_cidr_is_valid builtins/net_cidr_merge
# entrypoints: builtins/numbers_range_step builtins/object_subset builtins/opa_runtime builtins/rand_intn
# entrypoints: builtins/rand_intn_one builtins/rand_intn_zero builtins/regex_find_n builtins/regex_replace
# entrypoints: builtins/regex_split builtins/regex_template_match builtins/semver_compare
# entrypoints: builtins/semver_compare_wrong builtins/semver_is_valid builtins/set_through_builtin
# entrypoints: builtins/sprintf_big builtins/sprintf_d builtins/sprintf_f builtins/sprintf_float_as_d
# entrypoints: builtins/sprintf_index builtins/sprintf_integer_as_f builtins/sprintf_missing
# entrypoints: builtins/sprintf_q builtins/sprintf_s builtins/sprintf_set builtins/sprintf_t
# entrypoints: builtins/sprintf_values builtins/sprintf_wrong builtins/sprintf_x
# entrypoints: builtins/strings_any_prefix builtins/strings_any_suffix builtins/strings_count
# entrypoints: builtins/time_add_date builtins/time_add_date_over builtins/time_clock builtins/time_date
# entrypoints: builtins/time_diff builtins/time_diff_zone builtins/time_format builtins/time_format_layout
# entrypoints: builtins/time_format_named builtins/time_format_zone builtins/time_now
# entrypoints: builtins/time_now_is_one builtins/time_parse builtins/time_parse_duration
# entrypoints: builtins/time_parse_duration_wrong builtins/time_parse_named builtins/time_parse_rfc3339
# entrypoints: builtins/time_parse_rfc3339_wrong builtins/time_weekday builtins/time_weekday_wrong
# entrypoints: builtins/trace_note builtins/units_parse builtins/units_parse_bytes
# entrypoints: builtins/units_parse_wrong builtins/urlquery_decode builtins/urlquery_decode_object
# entrypoints: builtins/urlquery_encode builtins/urlquery_encode_object builtins/uuid_rfc4122
# entrypoints: builtins/uuid_same
package builtins

# --- text

sprintf_d := sprintf("%d %5d|%-5d|%05d %d %+d", [42, 42, 42, 42, -7, 5])

sprintf_s := sprintf("%s|%10s|%-10s|%.3s", ["text", "right", "left", "cut off"])

# A value that is no string is written as Rego does.
sprintf_values := sprintf("%v %v %v %v %v %v", ["text", 1, 1.5, true, null, [1, "two", {"three": 3}]])

sprintf_set := sprintf("%v %v", [{3, 1, 2}, set()])

sprintf_q := sprintf("%q %q", ["say \"hi\"\n", "zoë"])

sprintf_x := sprintf("%x %X %#x %x %o %b %c %U", [255, 255, 255, "hi", 8, 5, 65, 66])

sprintf_f := sprintf("%5.2f|%.1f|%f|%e|%g", [3.14159, 2.0, 1.5, 1234.5, 0.000001])

sprintf_t := sprintf("%t %T %%", [true, "text"])

# A number too many, one too few, one of the wrong kind: no error.
sprintf_wrong := sprintf("%d %s", ["text", 7, "more"])

sprintf_missing := sprintf("%d %d", [1])

sprintf_big := sprintf("%d %v", [12345678901234567890123, 12345678901234567890123])

sprintf_index := sprintf("%[2]s %[1]s", ["a", "b"])

sprintf_float_as_d := sprintf("%d", [1.5])

sprintf_integer_as_f := sprintf("%.2f", [2])

indexof_all := indexof_n("abcéabc", "c")

strings_any_prefix := strings.any_prefix_match(["apple", "pear"], ["pe", "x"])

strings_any_suffix := strings.any_suffix_match("apple", {"le", "x"})

strings_count := strings.count("cheese", "e")

# --- encodings

base64url_no_pad := base64url.encode_no_pad("a?b>c~")

hex_encode := hex.encode("zoë")

hex_decode := hex.decode("7a6fc3ab")

hex_decode_wrong := hex.decode("xyz")

urlquery_encode := urlquery.encode("a b&c=d/é?~*")

urlquery_decode := urlquery.decode("a+b%26c%3Dd%2F%C3%A9")

urlquery_encode_object := urlquery.encode_object({"b": ["2", "1"], "a": "x y", "c": {"q", "p"}})

urlquery_decode_object := urlquery.decode_object("b=2&b=1&a=x+y&c")

json_patch := json.patch({"a": {"b": 1, "c": [1, 2]}}, [
	{"op": "add", "path": "/a/d", "value": 4},
	{"op": "remove", "path": "/a/b"},
	{"op": "replace", "path": ["a", "c", "0"], "value": "one"},
	{"op": "add", "path": "/a/c/-", "value": 3},
	{"op": "copy", "from": "/a/d", "path": "/e"},
	{"op": "move", "from": "/e", "path": "/f"},
	{"op": "test", "path": "/f", "value": 4},
])

json_patch_wrong := json.patch({"a": 1}, [{"op": "remove", "path": "/b"}])

json_marshal_with_options := json.marshal_with_options({"a": [1, {}]}, {"pretty": true, "indent": "  ", "prefix": ">"})

# --- digests and tokens

crypto_md5 := crypto.md5("lighter")

crypto_sha1 := crypto.sha1("lighter")

crypto_sha256 := crypto.sha256("lighter")

hmac_md5 := crypto.hmac.md5("lighter", "key")

hmac_sha1 := crypto.hmac.sha1("lighter", "key")

hmac_sha256 := crypto.hmac.sha256("lighter", "key")

hmac_sha512 := crypto.hmac.sha512("lighter", "key")

hmac_equal := [crypto.hmac.equal("ab", "ab"), crypto.hmac.equal("ab", "ac")]

# Signed with `secret`; valid until 2100.
token := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJsaWdodGVyIiwic3ViIjoiYWxpY2UiLCJleHAiOjQxMDI0NDQ4MDB9.D7uYUwYhNLHaXNEQDrmV0vARwUuyJcj_fZlHe13MNag"

jwt_decode := io.jwt.decode(token)

jwt_decode_wrong := io.jwt.decode("no.token")

jwt_verify_hs256 := [io.jwt.verify_hs256(token, "secret"), io.jwt.verify_hs256(token, "other")]

jwt_verify_hs384 := io.jwt.verify_hs384("eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJsaWdodGVyIiwic3ViIjoiYWxpY2UiLCJleHAiOjQxMDI0NDQ4MDB9.QFsH_cAjMEDsX-YXbNR5Mr4AneaoJ_WR6DTw6Ll1lsjTO8zDFImnNwiWgE8UoDLd", "secret")

jwt_verify_hs512 := io.jwt.verify_hs512("eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJsaWdodGVyIiwic3ViIjoiYWxpY2UiLCJleHAiOjQxMDI0NDQ4MDB9.n14p8N7EVqvV-hQBcgCVr4BVyt6ZDHEJNQ2HegCgVFke1ZbD9f9CYzYFuzs3GihQ1u48hiSKZ1B8m1tJKHuVNg", "secret")

jwt_decode_verify := io.jwt.decode_verify(token, {"secret": "secret", "iss": "lighter", "time": 1700000000000000000})

jwt_decode_verify_late := io.jwt.decode_verify(token, {"secret": "secret", "time": 4200000000000000000})

jwt_encode_sign := io.jwt.encode_sign({"typ": "JWT", "alg": "HS256"}, {"sub": "alice"}, {"kty": "oct", "k": "c2VjcmV0"})

jwt_encode_sign_raw := io.jwt.encode_sign_raw(`{"typ":"JWT","alg":"HS256"}`, `{"sub":"alice"}`, `{"kty":"oct","k":"c2VjcmV0"}`)

# --- time

# 2022-08-08T22:07:39.131330001Z, a Monday.
instant := 1659996459131330001

time_now := time.now_ns() > 1700000000000000000

# It stands still during one query.
time_now_is_one := time.now_ns() == time.now_ns()

time_parse_rfc3339 := time.parse_rfc3339_ns("2022-08-09T00:07:39.131330001+02:00")

time_parse_rfc3339_wrong := time.parse_rfc3339_ns("yesterday")

time_parse := time.parse_ns("2006-01-02 15:04:05 MST", "2022-08-08 22:07:39 UTC")

time_parse_named := time.parse_ns("RFC1123", "Mon, 08 Aug 2022 22:07:39 UTC")

time_format := time.format(instant)

time_format_zone := time.format([instant, "Europe/Paris"])

time_format_layout := time.format([instant, "America/New_York", "Mon Jan _2 3:04PM 2006"])

time_format_named := time.format([instant, "UTC", "RFC1123Z"])

time_date := [time.date(instant), time.date([instant, "Europe/Paris"])]

time_clock := [time.clock(instant), time.clock([instant, "Asia/Kolkata"])]

time_weekday := [time.weekday(instant), time.weekday([instant, "Europe/Paris"])]

time_weekday_wrong := time.weekday([instant, "Nowhere/Land"])

time_add_date := time.add_date(instant, 1, -1, 30)

# Months are added as Go does: 31 January and a month is 3 March.
time_add_date_over := time.format(time.add_date(time.parse_rfc3339_ns("2022-01-31T00:00:00Z"), 0, 1, 0))

time_diff := time.diff(instant, time.parse_rfc3339_ns("2020-02-29T23:59:59Z"))

time_diff_zone := time.diff([instant, "Europe/Paris"], [1658997582413084200, "UTC"])

time_parse_duration := [time.parse_duration_ns("1h2m3.5s"), time.parse_duration_ns("-1.5us"), time.parse_duration_ns("100ms")]

time_parse_duration_wrong := time.parse_duration_ns("1 day")

# --- numbers

rand_intn := n if {
	n := rand.intn("dice", 6) < 6
	rand.intn("dice", 6) == rand.intn("dice", 6)
}

rand_intn_one := rand.intn("one", 1)

rand_intn_zero := rand.intn("zero", 0)

uuid_rfc4122 := regex.match(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, uuid.rfc4122("a"))

# One for each key during one query.
uuid_same := [uuid.rfc4122("a") == uuid.rfc4122("a"), uuid.rfc4122("a") == uuid.rfc4122("b")]

units_parse := [units.parse(text) | some text in ["10", "1K", "1Ki", "1.5M", "200m", "2G", "0.1"]]

units_parse_bytes := [units.parse_bytes(text) | some text in ["10", "1K", "1KiB", "1.5MB", "2Gi", "1kb"]]

units_parse_wrong := units.parse_bytes("1 foot")

numbers_range_step := [numbers.range_step(1, 10, 3), numbers.range_step(10, 1, 4)]

semver_compare := [semver.compare("1.2.3", "1.10.0"), semver.compare("1.0.0-rc.1", "1.0.0-rc.1"), semver.compare("2.0.0", "2.0.0-a")]

semver_compare_wrong := semver.compare("1.2", "1.2.0")

semver_is_valid := [semver.is_valid("1.2.3-a+b"), semver.is_valid("v1.2.3"), semver.is_valid("1.2"), semver.is_valid(1)]

# --- patterns

regex_find_n := [regex.find_n(`a.`, "abacad", 2), regex.find_n(`a.`, "abacad", -1), regex.find_n(`z`, "abc", -1)]

regex_split := [regex.split(`\s*,\s*`, "a , b,c"), regex.split(`x`, "abc")]

regex_replace := regex.replace("hello world", `(\w+) (\w+)`, "$2 ${1}!")

regex_template_match := [
	regex.template_match("urn:foo:{.*}", "urn:foo:bar:baz", "{", "}"),
	regex.template_match("urn:foo:<[0-9]+>", "urn:foo:bar", "<", ">"),
]

glob_quote_meta := glob.quote_meta("*.github[com]?{a}\\")

# --- networks

net_cidr_expand := net.cidr_expand("192.0.2.4/30")

net_cidr_expand_v6 := net.cidr_expand("2001:db8::/127")

net_cidr_merge := net.cidr_merge(["192.0.2.0/25", "192.0.2.128/25", "198.51.100.7"])

net_cidr_is_valid := [net.cidr_is_valid("10.0.0.0/8"), net.cidr_is_valid("2001:db8::/32"), net.cidr_is_valid("10.0.0.0")]

net_cidr_contains_matches := net.cidr_contains_matches({"a": "10.0.0.0/8", "b": "192.0.2.0/24"}, ["10.1.2.3", "192.0.2.0/25", "8.8.8.8"])

# --- structures

object_subset := [object.subset({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 2}}), object.subset({1, 2}, {3}), object.subset([1, 2, 3], [2, 3])]

graph_reachable_paths := graph.reachable_paths({"a": ["b", "c"], "b": ["d"], "c": [], "d": ["a"]}, ["a"])

# Beside the environment: `version`, `commit`, `config`; the host decides which of them there are.
opa_runtime := is_object(opa.runtime())

# Always true.
trace_note := trace("a note")

# A set is passed to a builtin and comes back as one.
set_through_builtin := count(net.cidr_merge({"192.0.2.0/25", "192.0.2.128/25"}) | {"x"})
