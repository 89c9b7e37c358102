// Package bundle knows a bundle as its developer has it: a directory with a manifest (sluice.hooks.yaml), the modules
// that it names, and the sources from which they are built.
//
// Open reads the manifest, Dir.Modules the modules, Dir.Stale says which modules are older than their sources and
// Dir.Build builds them with the tools of their language. What a bundle is made of to begin with is package scaffold,
// whether it does what its developer wants package cases.
//
// The package knows no node and no network; it runs compilers and nothing else. A Dir may be used from one goroutine at
// a time.
package bundle
