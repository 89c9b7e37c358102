package wat_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
	"github.com/sluice-edge/sluice/hooks/wat"
)

// FuzzAssemble gives the assembler any text. It says what is wrong with it, or makes a module whose sections can be read; it neither
// panics nor takes memory beyond measure, whatever numbers the text holds.
func FuzzAssemble(f *testing.F) {
	files, err := filepath.Glob("../testdata/*.wat")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range []string{
		"", "(", "(module", ")", "(module (func (@repeat 1000000000000 nop)))", "(module (@repeat 9999 (func (@repeat 9999 nop))))",
		"(module (func (local @999999999999 i32)))", "(module (memory 99999999999))", `(module (data (i32.const 0) "\`, "(module (func (br_table)))",
		"(; (; ;)", "(module (func (i32.const 0x)))", "(module (func (f64.const nan:0x4)))", "(module (elem))", "(module (func call_indirect))",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		begun := time.Now()
		code, err := wat.Assemble(text)
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%v for %d bytes", took, len(text))
		}
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if _, err := wasmbin.Decode(code); err != nil && len(code) < 8 {
			t.Errorf("%x is no module: %v", code, err)
		}
	})
}
