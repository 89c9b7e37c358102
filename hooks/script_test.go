package hooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/snapshot"
)

// engineCache is where hosts of tests about scripts find the engine compiled, once the first of them has.
var engineCache string

// scriptOptions leave the verdicts to fuel, however busy the machine is.
func scriptOptions() hooks.Options {
	return hooks.Options{CacheDir: engineCache, PolicyTime: time.Minute, HookTime: time.Minute, InitTime: time.Minute}
}

func scriptHost(t testing.TB) *hooks.Host {
	t.Helper()
	return NewHost(t, scriptOptions())
}

func policyOf(body string) string {
	return `import { allow, deny, rewrite, get, find, count, config } from "sluice";` + "\nexport function policy(event) {\n" + body + "\n}\n"
}

func hookOf(body string) string {
	return `import { allow, deny, rewrite } from "sluice";` + "\nexport function beforeInsert({ after, now }) {\n" + body + "\n}\n"
}

func TestLoadRefusesBadScriptsAndSaysWhere(t *testing.T) {
	host := scriptHost(t)
	const policy = hooks.EventPolicy
	for name, test := range map[string]struct{ text, want string }{
		"a syntax error":                 {"export function policy(event) {\n  return event.;\n}", "SyntaxError: expecting field name\n    at guest.js:2:16"},
		"an unfinished script":           {"export function policy(", "guest.js:1:"},
		"an exception while it loads":    {"function f() { null.x }\nf();\nexport function policy() {}", "TypeError: cannot read property 'x' of null\n    at f (guest.js:1:20)\n    at <anonymous> (guest.js:2:2)"},
		"no export":                      {"function policy() { return true }", "guest.js exports no function policy, which is bound to it"},
		"an export of another name":      {"export function Policy() { return true }", "exports no function policy"},
		"an export that is no function":  {"export const policy = true", "the export policy is something else, it must be a function"},
		"no such import":                 {`import { allow } from "./other.js"; export const policy = allow`, `cannot import "./other.js": a script is one file`},
		"no such export of sluice":       {`import { permit } from "sluice"; export const policy = permit`, "permit"},
		"an endless loop":                {"for (;;); export function policy() {}", "guest ran out of fuel"},
		"a memory bomb":                  {"const a = []; for (;;) a.push(new Array(1e6).fill(1)); export function policy() {}", "out of memory"},
		"a promise that nothing settles": {"await new Promise(() => {}); export function policy() {}", "the script waits for a promise that nothing settles"},
		"a rejected promise":             {"await Promise.reject(new Error('no')); export function policy() {}", "Error: no"},
		"too much text":                  {"//" + strings.Repeat(" ", 1<<20), "at most 1048576 are allowed for a script"},
		"no text":                        {"", "exports no function policy"},
		"text that is no JavaScript":     {"\x00asm\x01\x00\x00\x00", "SyntaxError"},
		"text that is no UTF-8":          {"export function policy() { return \"\xff\xfe", "SyntaxError"},
		"reading while it loads":         {`import { get } from "sluice"; get("posts", "x"); export function policy() {}`, "no documents can be read"},
		"a getter that throws":           {"export const policy = new Proxy(function () {}, { get() { throw new Error() } }).x", "Error"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := host.Load(context.Background(), ScriptManifest(policy), map[string][]byte{"guest.js": []byte(test.text)}, hooks.LoadOptions{})
			var refused *hooks.LoadError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Load: %v\nwant a *LoadError with %q", err, test.want)
			}
		})
	}
}

func TestScriptPolicies(t *testing.T) {
	host := scriptHost(t)
	no := hooks.Decision{Status: 403, Module: "guest"}
	for name, test := range map[string]struct {
		body string
		want hooks.Decision
	}{
		"allow":                           {`return allow();`, hooks.Decision{Allow: true}},
		"true":                            {`return true;`, hooks.Decision{Allow: true}},
		"false":                           {`return false;`, no},
		"deny":                            {`return deny("a.b_1");`, hooks.Decision{Code: "a.b_1", Status: 403, Module: "guest"}},
		"deny with all":                   {`return deny("a", 'Say "ä" \ud83d\ude00.', { status: 418 });`, hooks.Decision{Code: "a", Message: `Say "ä" 😀.`, Status: 418, Module: "guest"}},
		"thrown deny":                     {`(() => { throw deny("a"); })();`, hooks.Decision{Code: "a", Status: 403, Module: "guest"}},
		"an answer behind a promise":      {`return Promise.resolve().then(() => deny("a"));`, hooks.Decision{Code: "a", Status: 403, Module: "guest"}},
		"the event whole":                 {`return JSON.stringify(event) === '{"v":1,"event":"policy","op":"insert","collection":"posts","caller":{"role":"publishable","userId":"u1","claims":{}},"before":null,"after":{"title":"A","n":[1,2.5,-0.001,1e+300,true,null]},"now":1700000000000,"requestId":"r-1"}';`, hooks.Decision{Allow: true}},
		"members of an event":             {`const { after, ...rest } = event; return "after" in event && Object.keys(rest).length === 9 && event.after === after;`, hooks.Decision{Allow: true}},
		"the event's clock":               {`return Date.now() === event.now && new Date().toISOString() === "2023-11-14T22:13:20.000Z";`, hooks.Decision{Allow: true}},
		"what JavaScript has":             {`return [..."ab"].map((s) => s.toUpperCase()).join("") === "AB" && /^p.+$/u.test("pä") && new Map([[1, 2]]).get(1) === 2 && 2n ** 64n > 1n && "x".padStart(3, "ab") === "abx" && [3, 1, 2].toSorted()[0] === 1;`, hooks.Decision{Allow: true}},
		"a change of after has no effect": {`event.after.title = "B"; return allow();`, hooks.Decision{Allow: true}},
	} {
		t.Run(name, func(t *testing.T) {
			bundle := LoadScript(t, host, policyOf(test.body), hooks.EventPolicy)
			got, err := bundle.Policy(context.Background(), insert(`{"title":"A","n":[1,2.5,-0.001,1e300,true,null]}`))
			got.Fuel, got.Budget = 0, 0
			if err != nil || fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("decision %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

// What a hook does not touch keeps its text: digits, escapes, the order of members.
func TestScriptHooksRewrite(t *testing.T) {
	host := scriptHost(t)
	const document = `{"2":"two","1":"one","big":12345678901234567890,"exact":1.10,"e":1E2,"t\u0069tle":"\u0041","deep":{"list":[1.0,{"z":1.50,"a":[]}],"no":null},"ok":true}`
	for name, test := range map[string]struct{ body, want string }{
		"nothing":                          {`return allow();`, ""},
		"only looks":                       {`JSON.stringify(after); return allow();`, ""},
		"puts back what was there":         {`after.title = "A"; after.exact = 1.1; after.deep = structuredCopy(after.deep); return allow();`, ""},
		"a copy":                           {`return rewrite({ ...after });`, ""},
		"a member of its own":              {`after.new = 1; return allow();`, strings.TrimSuffix(document, "}") + `,"new":1}`},
		"deep inside":                      {`after.deep.list[1].z++; return allow();`, strings.Replace(document, "1.50", "2.5", 1)},
		"removes":                          {`delete after["2"]; delete after.deep.list; return allow();`, strings.Replace(strings.Replace(document, `"2":"two",`, "", 1), `"list":[1.0,{"z":1.50,"a":[]}],`, "", 1)},
		"undefined removes":                {`after.ok = undefined; return allow();`, strings.Replace(document, `,"ok":true`, "", 1)},
		"another document":                 {`return rewrite({ s: "\u0007\u2028\ud800", d: new Date(0), f() {}, list: [undefined, () => 1, new String("x"), -0, 1e21, 1e-7], title: "x" });`, "{\"title\":\"x\",\"s\":\"\\u0007\u2028\\ud800\",\"d\":\"1970-01-01T00:00:00.000Z\",\"list\":[null,null,\"x\",0,1e+21,1e-7]}"},
		"a name that is special elsewhere": {`return rewrite(JSON.parse('{"__proto__":{"x":1},"constructor":2}'));`, `{"__proto__":{"x":1},"constructor":2}`},
	} {
		t.Run(name, func(t *testing.T) {
			bundle := LoadScript(t, host, hookOf(test.body)+"function structuredCopy(v) { return JSON.parse(JSON.stringify(v)); }", hooks.EventBeforeInsert)
			got, err := bundle.Hook(context.Background(), insert(document))
			if err != nil || !got.Allow {
				t.Fatalf("decision %+v, %v", got, err)
			}
			want := test.want
			if strings.Contains(test.want, `"title":"x"`) {
				want = strings.Replace(want, `"title":"x"`, `"t\u0069tle":"x"`, 1) // the member had this name
			}
			if string(got.Document) != want {
				t.Errorf("document\n got %s\nwant %s", got.Document, want)
			}
		})
	}
}

// An exception, whatever it is, means no: the caller learns nothing, and the developer where it came from.
func TestScriptExceptionsMeanNo(t *testing.T) {
	host := scriptHost(t)
	for name, test := range map[string]struct{ script, want string }{
		"an error":                            {policyOf("const f = () => event.nothing.x;\nreturn f();"), "TypeError: cannot read property 'x' of undefined\n    at f (guest.js:3:30)\n    at policy (guest.js:4:1"},
		"no error":                            {policyOf(`throw "down";`), "threw down"},
		"an error without text":               {policyOf(`throw { toString() { throw 1; } };`), "an exception that has no text"},
		"a rejected promise":                  {policyOf(`return Promise.reject(new RangeError("far"));`), "RangeError: far"},
		"a promise that nothing settles":      {policyOf(`return new Promise(() => {});`), "policy waits for a promise that nothing settles"},
		"no answer":                           {policyOf(``), "policy must return allow(), deny(…), true or false, and returned nothing"},
		"an answer that is only true enough":  {policyOf(`return event.caller.userId;`), "and returned a string"},
		"a code that is none":                 {policyOf(`return deny("Not This");`), "deny: the code must be 1 to 64 of a-z, 0-9, _ and .\n    at deny (native)\n    at policy (guest.js:3:"},
		"no code":                             {policyOf(`return deny();`), "deny: the code must be a string"},
		"a message that is too long":          {policyOf(`return deny("a", "x".repeat(501));`), "deny: the message has 501 bytes"},
		"a status that is none":               {policyOf(`return deny("a", "b", { status: 200 });`), "deny: the status must be a whole number from 400 to 499"},
		"a policy that rewrites":              {policyOf(`return rewrite({});`), "policy cannot rewrite anything here"},
		"an array where it means nothing":     {policyOf(`return [true];`), "and returned an array"},
		"endless recursion":                   {policyOf(`const f = (x) => f(x + 1) + 1; return f(1) > 0;`), "InternalError: stack overflow"},
		"endless recursion through a library": {policyOf(`const f = () => [1].map(f); return f();`), "InternalError: stack overflow"},
		"endless recursion in JSON":           {policyOf(`let s = "["; for (let i = 0; i < 14; i++) s += s; return JSON.parse(s);`), "stack overflow"},
		"a string as large as can be":         {policyOf(`let s = "x"; for (;;) s += s;`), "InternalError: string too long"},
		"a larger string in one step":         {policyOf(`return "x".repeat(2 ** 30) === event;`), "RangeError: invalid string length"},
		"a document that is none":             {hookOf(`return rewrite([]);`), "rewrite: the document must be an object"},
		"a document that turns into none":     {hookOf(`return rewrite({ toJSON() { return 7; } });`), "the document is no object"},
		"a document without an end":           {hookOf(`after.self = after; return allow();`), "nested too deeply, or contains itself"},
		"a number that is none":               {hookOf(`after.n = 0 / 0; return allow();`), "a document cannot hold the number NaN"},
		"a BigInt":                            {hookOf(`after.n = 1n; return allow();`), "a document cannot hold a BigInt"},
		"a getter that throws":                {hookOf(`return rewrite({ get x() { throw new Error("got"); } });`), "Error: got"},
		"assigning to the event":              {"export function beforeInsert(event) { event.after = {}; return true; }", "TypeError: no setter for property"},
	} {
		t.Run(name, func(t *testing.T) {
			event, ask := hooks.EventPolicy, (*hooks.Bundle).Policy
			if strings.Contains(test.script, "beforeInsert") {
				event, ask = hooks.EventBeforeInsert, (*hooks.Bundle).Hook
			}
			bundle := LoadScript(t, host, test.script, event)
			for range 2 { // the second call finds what the first has left
				d, err := ask(bundle, context.Background(), insert(`{"title":"A"}`))
				var threw *hooks.ScriptError
				if d.Allow || !errors.As(err, &threw) || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("decision %+v, %v\nwant a *ScriptError with %q", d, err, test.want)
				}
			}
		})
	}
}

// What no exception can end, fuel does.
func TestScriptsThatNeverEndSpendTheirFuel(t *testing.T) {
	host := scriptHost(t)
	for name, body := range map[string]string{
		"a loop":                        `for (;;);`,
		"a loop that catches":           `for (;;) try { throw 1; } catch {}`,
		"recursion that catches":        `const f = () => { try { f(); } finally { f(); } }; f();`,
		"a generator":                   `function* g() { for (;;) yield 1; } for (const x of g());`,
		"a regular expression":          `return /^(a+)+$/.test("a".repeat(40) + "b");`,
		"promises":                      `const f = () => Promise.resolve().then(f); return f();`,
		"sorting without an order":      `const a = Array.from({ length: 1e5 }, (_, i) => i); for (;;) a.sort(() => 1);`,
		"a text of an exception":        `throw { toString() { for (;;); } };`,
		"a getter in an answer":         `throw new Proxy({}, { get() { for (;;); } });`,
		"a long array":                  `return new Array(2 ** 32 - 1).map((x) => x).indexOf(1, { valueOf() { for (;;); } });`,
		"a compiler that is fed":        `for (;;) new Function("return " + "1+".repeat(1000) + "1");`,
		"more memory than there is":     `const a = []; for (;;) a.push(new Uint8Array(1 << 20));`,
		"a deep expression":             `return eval("(".repeat(1e5));`,
		"a deep proxy":                  `let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); return p.x;`,
		"garbage":                       `for (let o; ; o = { o: {} });`,
		"garbage in rings":              `for (;;) { const a = {}; a.a = a; }`,
		"joining what does not fit":     `return Array(1e6).fill("xxxxxxxx").join("-").split("-").length > 1e7;`,
		"a document of many properties": `const o = {}; for (let i = 0; ; i++) o["k" + i] = i;`,
	} {
		t.Run(name, func(t *testing.T) {
			bundle := LoadScript(t, host, policyOf(body), hooks.EventPolicy)
			begun := time.Now()
			d, err := bundle.Policy(context.Background(), insert(`{}`))
			var threw *hooks.ScriptError
			outOfMemory := errors.As(err, &threw) && strings.Contains(threw.Text, "out of memory")
			if d.Allow || !errors.Is(err, hooks.ErrFuel) && !outOfMemory {
				t.Errorf("decision %+v, %v", d, err)
			}
			t.Logf("%v after %v, %d fuel", err, time.Since(begun), d.Fuel)
		})
	}
}

// A script is free to change everything that JavaScript has; nothing that answers depends on it.
func TestScriptsCannotFoolTheEngine(t *testing.T) {
	host := scriptHost(t)
	tamper := []string{
		`Object.prototype.toJSON = () => ({ fooled: true });`,
		`Object.defineProperty(Object.prototype, "__proto__", { get() { throw new Error("trap"); }, set() {} });`,
		`JSON.parse = JSON.stringify = () => "fooled"; globalThis.JSON = null;`,
		`for (const o of [Array.prototype, String.prototype, Number.prototype, Function.prototype, Promise.prototype]) for (const k of Object.getOwnPropertyNames(o)) try { o[k] = () => "fooled"; } catch {}`,
		`Object.prototype.code = "fooled"; Object.prototype.status = 200; Object.prototype.reason = "fooled"; Object.prototype.allow = true; Object.prototype.then = (f) => f(true);`,
		`Array.prototype[Symbol.iterator] = null; Object.prototype[0] = true; Object.prototype.length = 3;`,
		`for (const k of Object.getOwnPropertyNames(globalThis)) try { delete globalThis[k]; } catch {}`,
		`Object.freeze(Object.prototype); Object.freeze(Array.prototype);`,
		`Error.prototype.toString = () => { for (;;); }; Error.prepareStackTrace = () => "fooled";`,
		`Object.setPrototypeOf(Object.prototype.constructor, null);`,
	}
	for i, code := range tamper {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			const rest = "\nexport function policy(event) { return event.after.price === 7 ? sluice.deny('a', 'b') : event.op === 'read' ? [true, false] : event.caller.userId === 'u1'; }" +
				"\nexport function beforeInsert(event) { return event.after.price === 7 ? sluice.deny('a', 'b') : true; }"
			bundle := LoadScript(t, host, `import * as sluice from "sluice";`+code+rest, hooks.EventPolicy, hooks.EventBeforeInsert)
			ctx := context.Background()
			if d, err := bundle.Policy(ctx, insert(`{"price":7}`)); err != nil || d.Allow || d.Code != "a" || d.Status != 403 || d.Message != "b" {
				t.Errorf("deny: %+v, %v", d, err)
			}
			if d, err := bundle.Policy(ctx, insert(`{"price":8}`)); err != nil || !d.Allow {
				t.Errorf("allow: %+v, %v", d, err)
			}
			read := &hooks.Event{Op: hooks.OpRead, Collection: Collection, UserID: "u1", Documents: [][]byte{[]byte(`{}`), []byte(`{}`)}, After: []byte(`{}`)}
			if d, err := bundle.Policy(ctx, read); err != nil || fmt.Sprint(d.Allowed) != "[true false]" {
				t.Errorf("read: %+v, %v", d, err)
			}
			if d, err := bundle.Hook(ctx, insert(`{"price":8}`)); i != 0 && (err != nil || !d.Allow || d.Document != nil) {
				t.Errorf("hook: %+v, %v", d, err)
			}
		})
	}
}

func TestAScriptRemembersNothing(t *testing.T) {
	for _, method := range []snapshot.Method{snapshot.Auto, snapshot.Copy} {
		host := NewHost(t, scriptOptions().WithIsolation(method))
		for name, code := range map[string]string{
			"a variable":       `let n = 0; const next = () => n++;`,
			"a global":         `globalThis.n = 0; const next = () => globalThis.n++;`,
			"a closure":        `const next = ((n) => () => n++)(0);`,
			"a WeakMap":        `const m = new WeakMap(), k = {}; const next = () => { const n = m.get(k) ?? 0; m.set(k, n + 1); return n; };`,
			"a prototype":      `const next = () => { const n = Array.prototype.n ?? 0; Array.prototype.n = n + 1; return n; };`,
			"a symbol":         `const next = () => { const s = Symbol.for("n"); const n = Object[s] ?? 0; Object[s] = n + 1; return n; };`,
			"a generator":      `const g = (function* () { for (let n = 0; ; n++) yield n; })(); const next = () => g.next().value;`,
			"an expression":    `const r = /x/g; const next = () => { r.test("xx"); return r.lastIndex - 1; };`,
			"a promise":        `let n = 0; const next = () => { Promise.resolve().then(() => n++); return n; };`,
			"a module":         `import * as s from "sluice"; const next = () => { const n = s.deny.n ?? 0; s.deny.n = n + 1; return n; };`,
			"grown memory":     `const kept = []; const next = () => { kept.push(new Uint8Array(4 << 20).fill(7)); return kept.length - 1; };`,
			"an event kept":    `let kept = 0; const next = (e) => { const n = kept; kept = e.after.n; return n; };`,
			"an exception":     `let n = 0; const next = () => { if (n > 0) return n; n++; return 0; };`,
			"random numbers":   `let last; const next = () => { const r = Math.random(); if (last !== undefined) return 1; last = r; return 0; };`,
			"what is to clean": `const registry = new FinalizationRegistry(() => n++); let n = 0; const next = () => { registry.register({}, 1); return n; };`,
		} {
			t.Run(fmt.Sprint(method, " ", name), func(t *testing.T) {
				bundle := LoadScript(t, host, code+"\nexport function policy(e) { return next(e) === 0; }", hooks.EventPolicy)
				var fuel uint64
				for i := range 5 {
					d, err := bundle.Policy(context.Background(), insert(`{"n":5}`))
					if err != nil || !d.Allow {
						t.Fatalf("call %d: %+v, %v", i, d, err)
					}
					if i > 0 && d.Fuel != fuel {
						t.Fatalf("call %d spent %d fuel, the one before it %d", i, d.Fuel, fuel)
					}
					fuel = d.Fuel
				}
			})
		}
	}
}

func TestScriptsReadDocumentsAndConfig(t *testing.T) {
	host := scriptHost(t)
	stored := Documents{"members": {[]byte(`{"_id":"m1","teamId":"t","userId":"u1","n":12345678901234567890}`), []byte(`{"_id":"m2","teamId":"t"}`)},
		"posts": {[]byte(`{"_id":"long","body":"` + strings.Repeat("é", 5000) + `"}`)}}
	for name, body := range map[string]string{
		"get":           `return get("members", "m1").teamId === "t" && get("members", "m3") === null;`,
		"get much":      `return get("posts", "long").body.length === 5000;`,
		"find":          `return find("members", { where: { teamId: "t" } }).length === 2 && find("members").length === 2 && find("members", { where: { teamId: "x" } }).length === 0;`,
		"count":         `return count("members", { where: { teamId: "t" } }) === 2 && count("members") === 2;`,
		"config":        `return config().site === "demo" && config() !== config();`,
		"wrong uses":    `for (const f of [() => get("members"), () => get(1, "x"), () => find("members", "x"), () => count("members", null), () => find("members", [])]) { try { f(); return false; } catch (e) { if (!(e instanceof TypeError)) throw e; } } return true;`,
		"none granted":  `try { get("secrets", "x"); } catch { return true; } return true;`,
		"too many":      `try { for (;;) count("members"); } catch { return true; }`,
		"no such query": `try { find("members", { sort: 7 }); } catch { return true; }`,
	} {
		t.Run(name, func(t *testing.T) {
			bundle := LoadScript(t, host, policyOf(body), hooks.EventPolicy)
			d, err := Ask(t, bundle, stored, insert(`{}`), hooks.EventPolicy)
			switch name {
			case "none granted":
				if !errors.Is(err, hooks.ErrNotGranted) || d.Allow {
					t.Errorf("decision %+v, %v", d, err)
				}
			case "too many":
				if !errors.Is(err, hooks.ErrHostCalls) || d.Allow {
					t.Errorf("decision %+v, %v", d, err)
				}
			case "no such query":
				if err == nil || d.Allow {
					t.Errorf("decision %+v, %v", d, err)
				}
			default:
				if err != nil || !d.Allow {
					t.Errorf("decision %+v, %v", d, err)
				}
			}
		})
	}
}

func TestScriptLogs(t *testing.T) {
	var log bytes.Buffer
	host := NewHost(t, hooks.Options{CacheDir: engineCache, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	bundle := LoadScript(t, host, policyOf(`console.log("a", 1, { b: [true, event.after] }, undefined, null, Symbol("s"), 2n); console.error(new Error("e").message); console.debug(); console.log(event); return true;`), hooks.EventPolicy)
	if d, err := bundle.Policy(context.Background(), insert(`{"title":"A"}`)); err != nil || !d.Allow {
		t.Fatal(d, err)
	}
	for _, want := range []string{
		`level=INFO msg=guest module=guest request_id=r-1 line="a 1 {\"b\":[true,{\"title\":\"A\"}]} undefined null Symbol(s) 2"`,
		`level=ERROR msg=guest module=guest request_id=r-1 line=e`, `level=DEBUG msg=guest module=guest request_id=r-1 line=""`, `requestId\":\"r-1\"}"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log has no %s:\n%s", want, log.String())
		}
	}
}

// The event's random numbers are the event's: the same for the same event, others for others.
func TestScriptsDrawFromTheEvent(t *testing.T) {
	host := scriptHost(t)
	bundle := LoadScript(t, host, "const before = Math.random();\n"+hookOf(`after.r = Math.random(); after.same = after.r === before; return allow();`), hooks.EventBeforeInsert)
	ask := func(request string) string {
		e := insert(`{}`)
		e.RequestID = request
		d, err := bundle.Hook(context.Background(), e)
		if err != nil {
			t.Fatal(err)
		}
		return string(d.Document)
	}
	if a, b, c := ask("r-1"), ask("r-1"), ask("r-2"); a != b || a == c || !strings.Contains(a, `"same":false`) {
		t.Errorf("drew %s, %s, %s", a, b, c)
	}
}

func TestScriptsAreReportedOn(t *testing.T) {
	text := policyOf(`return true;`)
	report, err := scriptHost(t).Inspect(context.Background(), "guest.js", []byte(text))
	if err != nil || report.Bytes != len(text) || fmt.Sprint(report.Exports, report.Imports) != "[policy] []" || report.InitFuel == 0 || report.MemoryBytes == 0 {
		t.Errorf("report %+v, %v", report, err)
	}
}

// One engine serves all scripts, whatever becomes of some of them.
func TestScriptsShareTheEngine(t *testing.T) {
	host := scriptHost(t)
	first := LoadScript(t, host, policyOf(`return event.after.n === 1;`), hooks.EventPolicy)
	second := LoadScript(t, host, policyOf(`return event.after.n === 2;`), hooks.EventPolicy)
	ctx := context.Background()
	if err := first.Close(ctx); err != nil {
		t.Fatal(err)
	}
	third := LoadScript(t, host, policyOf(`return event.after.n === 3;`), hooks.EventPolicy)
	for i, bundle := range []*hooks.Bundle{second, third} {
		for n := range 5 {
			d, err := bundle.Policy(ctx, insert(fmt.Sprintf(`{"n":%d}`, n)))
			if err != nil || d.Allow != (n == i+2) {
				t.Errorf("script %d about %d: %+v, %v", i+2, n, d, err)
			}
		}
	}
}
