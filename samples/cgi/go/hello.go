// A CGI program in Go: the standard library's handler, as for any other server.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
)

func answer(out http.ResponseWriter, request *http.Request) {
	log.Printf("Go answers %s", request.Method)
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if request.Method == http.MethodPost {
		body, _ := io.ReadAll(request.Body)
		out.Write(bytes.ToUpper(body))
		return
	}
	name := request.URL.Query().Get("name")
	if name == "" {
		name = "world"
	}
	fmt.Fprintf(out, "Hello, %s, from Go", name)
}

func main() {
	log.SetFlags(0)
	if err := cgi.Serve(http.HandlerFunc(answer)); err != nil {
		log.Fatal(err)
	}
}
