//go:build !wasip1

package sluice

// Off WebAssembly there is no host to log to or to read from: this is what lets a policy be vetted and tested like any Go package.

func hostLog(Level, string) {}

// stub answers in place of the host.
var stub func(function, collection, question string) string

// Stub gives tests of a policy the documents that it reads: answer is called with get and an id, with find or count and a
// query, or with config, and returns JSON text; an empty one is no document, an empty array, 0 or {}. It exists off WebAssembly only.
func Stub(answer func(function, collection, question string) string) { stub = answer }

func ask(function, collection, question, fallback string) string {
	if stub == nil {
		return fallback
	}
	if text := stub(function, collection, question); text != "" {
		return text
	}
	return fallback
}

func hostGet(collection, id string, into []byte) int32 {
	text := ask("get", collection, id, "")
	if text == "" {
		return notFound
	}
	return give(text, into)
}

func hostFind(collection, query string, into []byte) int32 {
	return give(ask("find", collection, query, "[]"), into)
}

func hostCount(collection, query string) int64 {
	n, _ := Value{[]byte(ask("count", collection, query, "0"))}.AsInt()
	return n
}

func hostConfig(into []byte) int32 { return give(ask("config", "", "", "{}"), into) }

func give(text string, into []byte) int32 {
	if len(text) <= len(into) {
		copy(into, text)
	}
	return int32(len(text))
}
