package meter_test

import (
	"context"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/sluice-edge/sluice/hooks/wat"
)

// What compilers have got wrong, this one gets right, metered: see testdata/README.md.
func TestCodeThatCompilersGetWrong(t *testing.T) {
	ctx := context.Background()
	interpreter := newEngine(t, ctx, wazero.NewRuntimeConfigInterpreter())
	compiler := newEngine(t, ctx, wazero.NewRuntimeConfigCompiler())
	files, err := filepath.Glob("testdata/*.wat")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d programs, %v", len(files), err)
	}
	arguments := []uint64{0, 1, 2, 3, 7, 8, 15, 31, 59, 60, 61, 99, 100, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x10000, 86399, 86400, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<32 - 60}
	random := rand.New(rand.NewSource(1))
	for range 2000 {
		arguments = append(arguments, uint64(random.Uint32()>>random.Intn(32)))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code, err := wat.Assemble(string(text))
			if err != nil {
				t.Fatal(err)
			}
			both := newPair(t, ctx, interpreter, compiler, file, code)
			if both == nil {
				_, err := interpreter.CompileModule(ctx, code)
				t.Fatalf("it is refused: %v", err)
			}
			defer both.close(ctx)
			for _, x := range arguments {
				both.compareCall(t, ctx, file, "f", []uint64{x}, false)
				if t.Failed() {
					return
				}
			}
			both.compareMemory(t, file)
		})
	}
}
