# Builtins of the host that few policies need: certificates, public keys, schemas, GraphQL, AWS. A host that lacks
# one of them must report so when it loads this policy. The keys are made for this file; they open nothing.
#
# entrypoints: rare rare/aws_sign_req rare/graphql_is_valid rare/graphql_is_valid_wrong
# entrypoints: rare/graphql_schema_is_valid rare/json_match_schema rare/json_verify_schema
# entrypoints: rare/jwt_decode_verify_rs256 rare/lookup_ip_addr rare/rego_parse_module rare/x509_parse
# entrypoints: rare/strings_render rare/yaml_marshal rare/yaml_unmarshal rare/yaml_unmarshal_wrong
# entrypoints: rare/yaml_is_valid rare/uuid_parse rare/uuid_parse_time rare/regex_globs_match
package rare

jwt_decode_verify_rs256 := io.jwt.decode_verify("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJsaWdodGVyIiwic3ViIjoiYWxpY2UiLCJleHAiOjQxMDI0NDQ4MDB9.NA0dOYJL395XJ3gNuTqvB5tpB91I-G_oCrNfbKnNW-v93gb-Z_OQ867AC4ByYtB2al0N6hjYs4kH2Lmx1TSjZ4qeILeu5uLUNM_s1udeZU8lChPJtBy1rWZ_ZD-6JbjpCBhoGaSAOfOZY8YmxjcRpyb8oqHGkErY11SQ9HoEHeWZt-Rog-TxBWl9qBT51lahbr1Er8v4aFfbm34-jBHPQGgdludHgvim0WK21j775NgynJtiulNsBMiKO2KamVoqfCztcWg6LH3C3q8I6eQy1vsmh4AYxX8ZyiLuYbQtLX6n8pEm5N3XXLc4TKRHMIm0_pvHCWw5NMHNY6PgN_2sMw", {"cert": rsa, "alg": "RS256"})

x509_parse := [certificate.Subject.CommonName | some certificate in crypto.x509.parse_certificates(certificate_pem)]

graphql_is_valid := graphql.is_valid("{ hello }", "type Query { hello: String }")

graphql_is_valid_wrong := graphql.is_valid("{ bye }", "type Query { hello: String }")

graphql_schema_is_valid := graphql.schema_is_valid("type Query { hello: String }")

json_match_schema := json.match_schema({"id": "x"}, {"type": "object", "properties": {"id": {"type": "integer"}}})[0]

json_verify_schema := json.verify_schema({"type": "object"})

rego_parse_module := rego.parse_module("a.rego", "package a\n\nb := 1")["package"].path[1].value

aws_sign_req := providers.aws.sign_req(
	{"method": "get", "url": "https://examplebucket.s3.amazonaws.com/data"},
	{"aws_access_key": "AKIDEXAMPLE", "aws_secret_access_key": "SECRET", "aws_service": "s3", "aws_region": "us-east-1"},
	time.parse_rfc3339_ns("2015-08-28T12:00:00Z"),
).headers.Authorization

lookup_ip_addr := net.lookup_ip_addr("127.0.0.1")

rsa := `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtvs8sNVjudRSzfeH+MRP
tXTsutesSfzymPyRUvIE7Ba5OjcYffH4XMl38rFjVrrMltfICumgAmpark+AbZsa
oMN41F5bAw56UhQIUbiSZ8dPA5yVxHv0MOXRE8XqCBN7a+L8yk4AAgZELkSQlRB4
3jk7OtQZ8IlsB3YMeN1y4EAOQNxChIhQ8LZ5467kjWH5pW6r4z7jg9SBX84m3dSy
lzNpsWnksQTa8QbysNZZhK++eYDyfkenCCH3GUrgMOfkkhSD+3Fv6O76dnmZFtcF
tmris41QEMAIlXeRMaoIa7VVrpx+yLlaLOT1EY65B/OuE8IzKI5p0fNNzX2S7OZE
NQIDAQAB
-----END PUBLIC KEY-----
`

ec := `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELSbu4HCZY0YAkaf103/JeEnw1qRN
XP99nVZLsOxWntag2S7eAxU8SCgA1IVFv4PYarqOcoipstPYOrnSHaGvTw==
-----END PUBLIC KEY-----
`

certificate_pem := `-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUZlCCVOeru+BvvrVndGxYSJLi6cEwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHbGlnaHRlcjAgFw0yNjExMjgyMDMyNTVaGA8yMDgxMDgzMTIw
MzI1NVowEjEQMA4GA1UEAwwHbGlnaHRlcjBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABC0m7uBwmWNGAJGn9dN/yXhJ8NakTVz/fZ1WS7DsVp7WoNku3gMVPEgoANSF
Rb+D2Gq6jnKIqbLT2Dq50h2hr0+jUzBRMB0GA1UdDgQWBBSY/BYuVaqvTDfKXXi3
RQpw94H+3zAfBgNVHSMEGDAWgBSY/BYuVaqvTDfKXXi3RQpw94H+3zAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCICdHUA28XSP52QpPMzu5mw8gi/R3
viCe0PkZldKg7a1JAiEAsIrFDKLaVWx6KOkkZuo8I4JknfTxThyKsk4SjDJxzo0=
-----END CERTIFICATE-----
`

strings_render := strings.render_template("hello {{.name}}: {{range .list}}<{{.}}>{{end}}", {"name": "zoë", "list": [1, 2]})

yaml_marshal := yaml.marshal({"name": "zoë", "list": [1, 2.5, true, null], "map": {"x": "1"}, "empty": {}})

yaml_unmarshal := yaml.unmarshal("name: zoë\nlist:\n  - 1\n  - 2.5\n  - yes\n  - 'yes'\nmap: {x: 0x10}\nwhen: 2020-01-02\n")

yaml_unmarshal_wrong := yaml.unmarshal("a: [1")

yaml_is_valid := [yaml.is_valid("a: 1"), yaml.is_valid("a: [1")]

uuid_parse := uuid.parse("00000000-0000-4000-8000-00000000000a")

uuid_parse_time := uuid.parse("c232ab00-9414-11ec-b3c8-9f6bdeced846")

regex_globs_match := [regex.globs_match("a.a.[0-9]+z", "a.b.[0-9]*z"), regex.globs_match("[a-z]+", "[0-9]*x")]
