// A guest of the contract env in Go: it imports WASI beside env, is started once by _initialize, and answers in handle.
package main

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"unsafe"
)

//go:wasmimport env request_get_method
func requestMethod(buffer unsafe.Pointer, size uint64) int64

//go:wasmimport env request_get_query
func requestQuery(buffer unsafe.Pointer, size uint64) int64

//go:wasmimport env request_get_body
func requestBody(offset uint64, buffer unsafe.Pointer, size uint64) int64

//go:wasmimport env response_set_header
func setHeader(name unsafe.Pointer, nameSize uint64, value unsafe.Pointer, valueSize uint64)

//go:wasmimport env response_set_body
func setBody(body unsafe.Pointer, size uint64)

// window is where text lies, as the functions of env take it.
func window(text []byte) (unsafe.Pointer, uint64) {
	return unsafe.Pointer(unsafe.SliceData(text)), uint64(len(text))
}

// whole asks with no room for the length alone, and again with as much as it takes.
func whole(get func(buffer unsafe.Pointer, size uint64) int64) []byte {
	text := make([]byte, get(nil, 0))
	get(window(text))
	return text
}

func answer(method string) []byte {
	if method == "POST" {
		return bytes.ToUpper(whole(func(buffer unsafe.Pointer, size uint64) int64 { return requestBody(0, buffer, size) }))
	}
	query, _ := url.ParseQuery(string(whole(requestQuery)))
	name := query.Get("name")
	if name == "" {
		name = "world"
	}
	return []byte("Hello, " + name + ", from Go as a reactor")
}

//go:wasmexport handle
func handle() {
	method := string(whole(requestMethod))
	fmt.Fprintln(os.Stderr, "Go as a reactor answers", method)
	name, value := []byte("Content-Type"), []byte("text/plain; charset=utf-8")
	namePointer, nameSize := window(name)
	valuePointer, valueSize := window(value)
	setHeader(namePointer, nameSize, valuePointer, valueSize)
	setBody(window(answer(method)))
}

func main() {}
