// Opac compiles policies to Wasm, and evaluates them with Open Policy Agent itself.
//
//	opac compile [-print] -e ENTRYPOINT... -o BUNDLE.tar.gz FILE...   as `opa build -t wasm`
//	opac eval -e PATH [-i INPUT.json] FILE...                         the answer to POST /v1/data/PATH
//	opac answer [-s ADDRESS] -c CASES.json FILE...                    CASES.json, with OPA's answers; at
//	                                                                  ADDRESS serves what send.rego asks for
//	opac serve -a ADDRESS FILE...                                     as `opa run --server`
//
// A FILE is a policy or a document. The answers are those of OPA's own REST handlers over its interpreter
// of Rego: no Wasm takes part in them.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/open-policy-agent/opa/v1/compile"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown/print"
)

type names []string

func (n *names) String() string         { return strings.Join(*n, ",") }
func (n *names) Set(value string) error { *n = append(*n, value); return nil }

// One query and OPA's answer. Without an input the request's body is `{}`.
type question struct {
	Path   string          `json:"path"`
	Input  json.RawMessage `json:"input,omitempty"`
	Status int             `json:"status"`
	Answer json.RawMessage `json:"answer"`
}

type stderr struct{}

func (stderr) Print(_ print.Context, line string) error {
	_, err := fmt.Fprintln(os.Stderr, line)
	return err
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, "opac:", err)
		os.Exit(1)
	}
	return value
}

func build(entrypoints, files []string, prints bool, output string) {
	var bundle bytes.Buffer
	compiler := compile.New().WithTarget(compile.TargetWasm).WithEntrypoints(entrypoints...).
		WithEnablePrintStatements(prints).WithPaths(files...).WithOutput(&bundle)
	must(0, compiler.Build(context.Background()))
	must(0, os.WriteFile(output, bundle.Bytes(), 0o644))
}

func rest(files []string) http.Handler {
	ctx := context.Background()
	loaded := must(loader.NewFileLoader().Filtered(files, nil))
	store := inmem.NewFromObject(loaded.Documents)
	manager := must(plugins.New(nil, "opac", store, plugins.InitFiles(*loaded),
		plugins.Logger(logging.NewNoOpLogger()), plugins.EnablePrintStatements(true), plugins.PrintHook(stderr{})))
	must(0, manager.Init(ctx))
	return must(server.New().WithStore(store).WithManager(manager).Init(ctx)).Handler
}

// The server that send.rego describes.
func origin(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /json":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"hello": "world"}`)
	case "POST /echo":
		kind := r.Header.Get("Content-Type")
		if kind == "" {
			kind = "application/json"
		}
		w.Header().Set("Content-Type", kind)
		_, _ = io.Copy(w, r.Body)
	case "GET /text":
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "plain text")
	case "GET /headers":
		found := map[string]string{}
		for name := range r.Header {
			if strings.HasPrefix(name, "X-") {
				found[name] = r.Header.Get(name)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(must(json.Marshal(found)))
	case "GET /fail":
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (q *question) ask(handler http.Handler) {
	body := []byte("{}")
	if q.Input != nil {
		body = must(json.Marshal(map[string]json.RawMessage{"input": q.Input}))
	}
	url := strings.TrimSuffix("/v1/data/"+q.Path, "/")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, url, bytes.NewReader(body)))
	q.Status, q.Answer = answer.Code, answer.Body.Bytes()
}

func main() {
	var entrypoints names
	flags := flag.NewFlagSet("opac compile|eval|answer|serve", flag.ExitOnError)
	flags.Var(&entrypoints, "e", "an entrypoint, as `package/rule`")
	output := flags.String("o", "bundle.tar.gz", "the bundle to write")
	prints := flags.Bool("print", false, "keep calls of print()")
	input := flags.String("i", "", "a file with the input document")
	cases := flags.String("c", "", "a file with questions")
	served := flags.String("s", "", "where to serve what send.rego asks for")
	address := flags.String("a", "127.0.0.1:8181", "where to listen")
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
		must(0, flags.Parse(os.Args[2:]))
	}
	switch command {
	case "compile":
		build(entrypoints, flags.Args(), *prints, *output)
	case "eval":
		q := question{Path: entrypoints[0]}
		if *input != "" {
			q.Input = must(os.ReadFile(*input))
		}
		q.ask(rest(flags.Args()))
		fmt.Print(string(q.Answer))
	case "answer":
		var questions []question
		must(0, json.Unmarshal(must(os.ReadFile(*cases)), &questions))
		handler := rest(flags.Args())
		if *served != "" {
			listener := must(net.Listen("tcp", *served))
			go func() { must(0, http.Serve(listener, http.HandlerFunc(origin))) }()
		}
		between := "[\n"
		for _, q := range questions {
			q.ask(handler)
			fmt.Printf("%s  %s", between, must(json.Marshal(q)))
			between = ",\n"
		}
		fmt.Println("\n]")
	case "serve":
		must(0, http.ListenAndServe(*address, rest(flags.Args())))
	default:
		flags.Usage()
		os.Exit(2)
	}
}
