package runtime

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// A file has three names. What people call it is for people: it is shown, and offered when the file is saved. Its key,
// "<uuid>_<name>", is what its address ends in. On disk it is known by its hash alone, so that no name, however it was
// made, can reach anything else there.

const (
	maxFileName = 200              // bytes, of the name that people see
	maxFileKey  = maxFileName + 37 // with the uuid and the underscore
	uuidLen     = 36
)

// cleanFileName makes the name of a file out of what a client calls it: directories are cut off, white space and what could
// mislead a reader becomes an underscore. It refuses what is no text.
func cleanFileName(name string) (string, error) {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return "", errFileName
	}
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c), c == '%', unicode.IsControl(c), unicode.Is(unicode.Bidi_Control, c), c == '\ufeff', c == '\U0010ffff':
			return '_'
		}
		return c
	}, name)
	switch {
	case len(name) > maxFileName:
		return "", errFileName
	case name == "" || name == "." || name == "..":
		return "file", nil
	}
	return name, nil
}

// formatUUID writes 16 random bytes as a version 4 UUID (RFC 9562 section 5.4).
func formatUUID(raw [16]byte) string {
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, c := range raw {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// isFileKey reports whether a decoded text could be a file's key. It is asked before the store is, so that nothing which
// could be read in two ways gets that far.
func isFileKey(key string) bool {
	return len(key) > uuidLen+1 && len(key) <= maxFileKey && key[uuidLen] == '_' && utf8.ValidString(key) &&
		!strings.ContainsFunc(key, func(c rune) bool { return c == '/' || c == '\\' || c == '%' || c < ' ' || c == 0x7f })
}

// parseFilePath reads "<projectId>/<key>", as uploads answer it, and returns the key. One leading slash and one layer of
// percent-escapes are allowed. Whatever is not a path of this project's is denied alike: it is not said why.
func parseFilePath(projectID, path string) (key string, err error) {
	path = strings.TrimPrefix(path, "/")
	if strings.Contains(path, "%") {
		if path, err = url.PathUnescape(path); err != nil {
			return "", errFileDenied
		}
	}
	key, ok := strings.CutPrefix(path, projectID+"/")
	if !ok || !isFileKey(key) {
		return "", errFileDenied
	}
	return key, nil
}

// splitFileAddress reads /files/{project}/{name} as it stands in a URL.
func splitFileAddress(path []byte) (p paths, ok bool) {
	rest, ok := strings.CutPrefix(string(path), filesPrefix)
	if !ok {
		return p, false
	}
	id, name, ok := strings.Cut(rest, "/")
	if !ok || id == "" || name == "" || strings.Contains(name, "/") {
		return p, false
	}
	return paths{[]byte(id), []byte(name)}, true
}

// fileKey is the key that the request's URL names.
func (r *request) fileKey() (string, error) {
	key := string(fasthttp.AppendUnquotedArg(nil, plusSafe(r.path.id)))
	if !isFileKey(key) {
		if len(key) > maxFileKey || !utf8.ValidString(key) {
			return "", errMalformedPath
		}
		return "", errFileNotFound
	}
	return key, nil
}

// plusSafe escapes plus signs: in a path they stand for themselves.
func plusSafe(name []byte) []byte {
	return []byte(strings.ReplaceAll(string(name), "+", "%2B"))
}

// fileAddress is where a file is fetched.
func (r *request) fileAddress(key string) string {
	return r.server.baseURL() + filesPrefix + r.project.ID + "/" + url.PathEscape(key)
}

// baseURL is where apps reach the node.
func (s *Server) baseURL() string {
	if s.opt.PublicURL != "" {
		return s.opt.PublicURL
	}
	return s.PublicURL()
}

// disposition is the Content-Disposition of a file (RFC 6266): a name in ASCII for everybody, and the real one (RFC 8187)
// where it is another.
func disposition(kind, name string) string {
	plain := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '%' {
			return '_'
		}
		return c
	}, name)
	out := kind + `; filename="` + plain + `"`
	if plain != name {
		out += "; filename*=UTF-8''" + extValue(name)
	}
	return out
}

// extValue escapes a value for a parameter that ends in an asterisk: all but the attr-chars of RFC 8187 section 3.2.1.
func extValue(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			out.WriteByte(c)
			continue
		}
		out.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
	}
	return out.String()
}
