package script

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write puts files below a new directory, which it returns.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, "bundle", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "bundle")
}

func TestJoin(t *testing.T) {
	const plain = "// kept\nimport { deny } from 'sluice'\nexport function policy () { return  deny('a') }"
	for name, test := range map[string]struct {
		file  string
		files map[string]string
		want  []string // the text holds all of them; one that begins with "!": it does not
	}{
		"JavaScript that imports only sluice is left as it is": {"a.js", map[string]string{"a.js": plain}, []string{"\x00" + plain}},
		"types are stripped": {"a.ts", map[string]string{"a.ts": "import type { Policy } from \"sluice\";\nimport { allow } from \"sluice\";\nenum Kind { A = 1 }\nexport function policy<T extends Policy>(event: T): boolean { return (event as any).n! === Kind.A && allow(); }"},
			[]string{`from "sluice"`, "function policy(event)", "export {", "!Policy", "!: boolean"}},
		"local files are joined":          {"x/a.js", map[string]string{"x/a.js": `import { b } from "../lib/b.ts"; export const policy = () => b;`, "lib/b.ts": `export const b: boolean = false;`}, []string{"b = false", "policy", "!import"}},
		"packages are joined":             {"a.mjs", map[string]string{"a.mjs": `import one from "one"; export const policy = () => one;`, "node_modules/one/package.json": `{"name":"one","main":"index.js"}`, "node_modules/one/index.js": `module.exports = 17;`}, []string{"17", "policy"}},
		"JSON is data":                    {"a.js", map[string]string{"a.js": `import list from "./list.json"; export const policy = () => list[0];`, "list.json": `[true]`}, []string{"true", "policy"}},
		"a tsconfig.json changes nothing": {"a.ts", map[string]string{"a.ts": `export const policy = () => 2 ** 3;`, "tsconfig.json": `{"compilerOptions":{"target":"es5"}}`}, []string{"=>"}},
		"new syntax is made older":        {"a.ts", map[string]string{"a.ts": `export function policy() { using x = { [Symbol.dispose]() {} } as Disposable; return true; }`}, []string{"!using x"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, test.files)
			got, err := Join(dir, test.file, []byte(test.files[test.file]))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if whole, ok := strings.CutPrefix(want, "\x00"); ok && string(got) != whole {
					t.Errorf("got\n%s\nwant\n%s", got, whole)
				} else if not, no := strings.CutPrefix(want, "!"); !ok && strings.Contains(string(got), not) == no {
					t.Errorf("%q in\n%s", want, got)
				}
			}
			moved := write(t, test.files)
			if again, err := Join(moved, test.file, []byte(test.files[test.file])); err != nil || !bytes.Equal(got, again) {
				t.Errorf("elsewhere it is\n%s\n%v", again, err)
			}
		})
	}
}

func TestJoinSaysWhatIsWrongAndWhere(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a syntax error":                  {map[string]string{"a.ts": "export function policy() {\n  return 1 +;\n}"}, `a.ts:2:13: Unexpected ";"`},
		"two of them":                     {map[string]string{"a.ts": "import './b'; import './c'", "b.ts": "let let", "c.ts": "var 1"}, "c.ts:1:5: "},
		"a file that is not there":        {map[string]string{"a.ts": `import "./b";`}, `a.ts:1:8: Could not resolve "./b"`},
		"a package that is not there":     {map[string]string{"a.ts": `import "left-pad";`}, `a.ts:1:8: Could not resolve "left-pad"`},
		"an export that is not there":     {map[string]string{"a.ts": `import { c } from "./b"; export const policy = () => c;`, "b.ts": "export const b = 1"}, `No matching export in "b.ts" for import "c"`},
		"a file outside of the bundle":    {map[string]string{"a.ts": `import "../secret.js";`, "../secret.js": "1"}, "is not below the bundle's directory"},
		"a file that is no script at all": {map[string]string{"a.ts": `import "./b.exe";`, "b.exe": "MZ"}, `No loader is configured for ".exe" files`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Join(write(t, test.files), "a.ts", []byte(test.files["a.ts"]))
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v\nwant an *Error with %s", err, test.want)
			}
		})
	}
	t.Run("a link out of the bundle", func(t *testing.T) {
		dir := write(t, map[string]string{"a.ts": `import "./link.js";`, "../secret.js": "1"})
		if err := os.Symlink("../secret.js", filepath.Join(dir, "link.js")); err != nil {
			t.Fatal(err)
		}
		if _, err := Join(dir, "a.ts", nil); err == nil || !strings.Contains(err.Error(), "is not below the bundle's directory") {
			t.Error(err)
		}
	})
}
