package letter

// Names of the templates that the server itself sends. A project may declare its own under the same name.
const (
	Verify          = "verify"          // the code that proves an address
	Reset           = "reset"           // the code that allows a new password
	Welcome         = "welcome"         // once an address is proved
	PasswordChanged = "passwordChanged" // after a new password
)

// Names lists them.
func Names() []string { return []string{Verify, Reset, Welcome, PasswordChanged} }

// Builtin returns the template of that name that is used where a project has none of its own. Variables: project,
// siteUrl, email, name, code, minutes.
func Builtin(name string) (Template, bool) {
	t, ok := builtins()[name]
	return t, ok
}

func builtins() map[string]Template {
	return map[string]Template{
		Verify: {
			Name:    Verify,
			Subject: "Your code for {{.project}}",
			Text: `Hello{{if .name}} {{.name}}{{end}},

your code for {{.project}} is

    {{.code}}

It is good for {{.minutes}} minutes and proves that this address is yours. If you did not
sign up for {{.project}}, ignore this mail: without the code nothing happens.
`,
			HTML: page(`<p>Hello{{if .name}} {{.name}}{{end}},</p>
<p>your code for {{.project}} is</p>
` + codeBox + `
<p>It is good for {{.minutes}} minutes and proves that this address is yours. If you did not sign up for {{.project}}, ignore this mail: without the code nothing happens.</p>`),
		},
		Reset: {
			Name:    Reset,
			Subject: "Your code for a new password at {{.project}}",
			Text: `Hello{{if .name}} {{.name}}{{end}},

somebody asked for a new password for your account at {{.project}}. If it was you, the code is

    {{.code}}

It is good for {{.minutes}} minutes. If it was not you, ignore this mail and give the code to
nobody: your password stays as it is.
`,
			HTML: page(`<p>Hello{{if .name}} {{.name}}{{end}},</p>
<p>somebody asked for a new password for your account at {{.project}}. If it was you, the code is</p>
` + codeBox + `
<p>It is good for {{.minutes}} minutes. If it was not you, ignore this mail and give the code to nobody: your password stays as it is.</p>`),
		},
		Welcome: {
			Name:    Welcome,
			Subject: "Welcome to {{.project}}",
			Text: `Hello{{if .name}} {{.name}}{{end}},

your address is confirmed: welcome to {{.project}}.{{if .siteUrl}}

{{.siteUrl}}{{end}}
`,
			HTML: page(`<p>Hello{{if .name}} {{.name}}{{end}},</p>
<p>your address is confirmed: welcome to {{.project}}.</p>{{if .siteUrl}}
<p><a href="{{.siteUrl}}">{{.siteUrl}}</a></p>{{end}}`),
		},
		PasswordChanged: {
			Name:    PasswordChanged,
			Subject: "Your password for {{.project}} was changed",
			Text: `Hello{{if .name}} {{.name}}{{end}},

the password of your account at {{.project}} was changed just now, and it was logged out
elsewhere. If it was you, there is nothing to do. If it was not, ask for a new password at
once{{if .siteUrl}}: {{.siteUrl}}{{end}}.
`,
			HTML: page(`<p>Hello{{if .name}} {{.name}}{{end}},</p>
<p>the password of your account at {{.project}} was changed just now, and it was logged out elsewhere. If it was you, there is nothing to do.</p>
<p>If it was not, ask for a new password at once{{if .siteUrl}}: <a href="{{.siteUrl}}">{{.siteUrl}}</a>{{end}}.</p>`),
		},
	}
}

const codeBox = `<p style="font-size:28px;letter-spacing:6px;font-weight:600;margin:24px 0">{{.code}}</p>`

// page is the frame of the built-in mails. It loads nothing from anywhere, so that reading a mail tells nobody.
func page(body string) string {
	return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head>
<body style="margin:0;padding:24px;background:#f4f4f5;color:#18181b;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px;line-height:1.5">
<div style="max-width:520px;margin:0 auto;background:#ffffff;border-radius:8px;padding:24px 32px">
` + body + `
</div>
</body>
</html>
`
}
