# http.send. The server at input.url: GET /json answers {"hello": "world"}; POST /echo answers with the
# request's body and content type, application/json where it has none; GET /text answers `plain text` as text/plain;
# GET /headers answers with a JSON object of the request's headers whose names begin with X-; GET /fail answers 503,
# empty. No server listens at input.nobody.
#
# entrypoints: send/get send/post send/raw send/text send/headers send/fail send/error send/raised send/all
package send

get := {"status": answer.status, "status_code": answer.status_code, "body": answer.body, "raw": answer.raw_body} if {
	answer := http.send({"method": "GET", "url": concat("", [input.url, "/json"])})
}

# OPA sets no content type for a body itself.
post := {"status_code": answer.status_code, "body": answer.body, "type": answer.headers["content-type"]} if {
	answer := http.send({"method": "POST", "url": concat("", [input.url, "/echo"]), "body": {"question": input.question}})
}

raw := answer.raw_body if {
	answer := http.send({
		"method": "POST",
		"url": concat("", [input.url, "/echo"]),
		"headers": {"content-type": "text/plain"},
		"raw_body": "as it is",
	})
}

# No JSON: there is a raw body and no parsed one.
text := {"raw": answer.raw_body, "parsed": object.get(answer, "body", "none")} if {
	answer := http.send({"method": "get", "url": concat("", [input.url, "/text"])})
}

headers := answer.body if {
	answer := http.send({
		"method": "GET",
		"url": concat("", [input.url, "/headers"]),
		"headers": {"X-One": "1", "x-two": "two"},
	})
}

# An error status is an answer, too.
fail := answer.status_code if {
	answer := http.send({"method": "GET", "url": concat("", [input.url, "/fail"])})
}

# No server listens there: without raise_error the answer has the error, with the host's message.
error := {"status_code": answer.status_code, "code": answer.error.code, "tells": count(answer.error.message) > 0} if {
	answer := http.send({"method": "GET", "url": input.nobody, "raise_error": false})
}

# With it, the rule is undefined.
raised := http.send({"method": "GET", "url": input.nobody}).status_code

all := {"get": get.status_code, "fail": fail}
