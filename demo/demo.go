// Package demo holds the demo project of `sluice serve --demo`: its declaration and its bundle, embedded. The bundle's
// one module is built from the source in guest/ with the Go SDK; a test proves that demo.wasm is what that source gives.
//
// The package only carries bytes. Whoever uses them must not change them.
package demo

import _ "embed"

//go:generate sh build.sh

// ModuleFile is the name of Module in Manifest.
const ModuleFile = "demo.wasm"

var (
	// ProjectFile declares the project `demo`, as `sluice project apply` reads it.
	//go:embed sluice.yaml
	ProjectFile []byte

	// Manifest is the bundle's manifest, as `sluice bundle deploy` reads it.
	//go:embed sluice.hooks.yaml
	Manifest []byte

	// Module is the bundle's WebAssembly module.
	//go:embed demo.wasm
	Module []byte
)
