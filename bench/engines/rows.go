package main

// language names a guest of Sluice.
type language string

const (
	langC              language = "c"
	langRust           language = "rust"
	langAssemblyScript language = "assemblyscript"
	langGo             language = "go"
	langJavaScript     language = "javascript" // source
)

// row is a guest of Sluice and what it is compared with.
type row struct {
	name, what string
	guest      language
	others     []target
	http       []target // of requests a second, to the bare server, for the guest of this name
}

// target is how many times as much as Sluice's call the other side should cost at least; over HTTP, which part of the bare server's
// requests a second should be left. None (0) is told and was not promised.
type target struct {
	to    string
	least float64
}

var rows = []row{
	{name: "c", what: "a guest in C, against everything", guest: langC, others: []target{
		{"instance", 20}, {"deadline", 5}, {"extism", 25}, {"extism-timeout", 0}, {"extism-isolated", 200},
		{"goja", 8}, {"goja-isolated", 0}, {"opa", 8}, {"cel", 2.5},
	}},
	{name: "rust", what: "a guest in Rust, against the engine alone", guest: langRust, others: []target{{"instance", 0}, {"deadline", 0}}},
	{name: "assemblyscript", what: "a guest in AssemblyScript, against the engine alone and goja", guest: langAssemblyScript,
		others: []target{{"instance", 0}, {"deadline", 5}, {"goja", 3}}},
	{name: "go", what: "a guest in Go, against the engine alone", guest: langGo, others: []target{{"instance", 50}, {"deadline", 5}}},
	{name: "javascript", what: "a script as its source, against goja", guest: langJavaScript,
		others: []target{{"goja", 1 / 1.5}, {"goja-isolated", 0}}},
	{name: "http", what: "a fasthttp server that greets, and the same with one call of a guest, 32 connections", http: []target{
		{string(langC), 0.85}, {string(langRust), 0}, {string(langAssemblyScript), 0.55}, {string(langGo), 0.18}, {string(langJavaScript), 0},
	}},
}

func rowNamed(name string) *row {
	for i := range rows {
		if rows[i].name == name {
			return &rows[i]
		}
	}
	return nil
}
