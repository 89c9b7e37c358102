package runtime

import (
	"bytes"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// A file that somebody stored must not become a page of this node's: what it is served as is chosen from a list, and only if
// the bytes look like it. Everything else is application/octet-stream, to be saved and not shown.

const (
	sniffBytes   = 512
	typeUnknown  = "application/octet-stream"
	typePlain    = "text/plain; charset=utf-8"
	asInline     = "inline"
	asAttachment = "attachment"
)

// shownTypes are the media types that browsers show by themselves and never run, with what their first bytes are said to be.
var shownTypes = map[string][]string{
	"image/png":       {"image/png"},
	"image/jpeg":      {"image/jpeg"},
	"image/gif":       {"image/gif"},
	"image/webp":      {"image/webp"},
	"image/bmp":       {"image/bmp"},
	"image/avif":      {"image/avif"},
	"image/x-icon":    {"image/x-icon"},
	"audio/mpeg":      {"audio/mpeg"},
	"audio/wav":       {"audio/wave"},
	"audio/aiff":      {"audio/aiff"},
	"audio/ogg":       {"application/ogg"},
	"audio/mp4":       {"video/mp4"},
	"audio/webm":      {"video/webm"},
	"video/mp4":       {"video/mp4"},
	"video/webm":      {"video/webm"},
	"video/ogg":       {"application/ogg"},
	"font/woff":       {"font/woff"},
	"font/woff2":      {"font/woff2"},
	"font/ttf":        {"font/ttf"},
	"font/otf":        {"font/otf"},
	typePlain:         {typePlain},
	"application/pdf": {"application/pdf"}, // kept as a type, but saved: see isShown
	"application/zip": {"application/zip"},
}

// otherNames are names that clients give types of the list.
var otherNames = map[string]string{
	"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png", "image/vnd.microsoft.icon": "image/x-icon",
	"image/x-ms-bmp": "image/bmp", "audio/mp3": "audio/mpeg", "audio/wave": "audio/wav", "audio/x-wav": "audio/wav", "audio/vnd.wave": "audio/wav",
	"audio/x-m4a": "audio/mp4", "audio/x-aiff": "audio/aiff", "application/ogg": "audio/ogg", "application/x-zip-compressed": "application/zip",
	"text/plain": typePlain, "text/csv": typePlain, "text/markdown": typePlain, "application/json": typePlain,
}

// fileType chooses what a file is served as. declared is what its uploader said, head its first bytes, up to sniffBytes.
func fileType(declared string, head []byte) string {
	found := sniff(head)
	base, _, err := mime.ParseMediaType(declared)
	if err != nil || base == "" || base == typeUnknown {
		base = found // nothing was said
	}
	base = strings.ToLower(base)
	if known, ok := otherNames[base]; ok {
		base = known
	}
	for _, looks := range shownTypes[base] {
		if looks == found {
			return base
		}
	}
	return typeUnknown
}

// sniff says what bytes look like, by the WHATWG's rules and a few that Go leaves out.
func sniff(head []byte) string {
	found := http.DetectContentType(head)
	switch {
	case len(head) >= 12 && string(head[4:8]) == "ftyp" && bytes.HasPrefix(head[8:], []byte("avif")):
		return "image/avif"
	case found == typeUnknown && len(head) > 3 && head[0] == 0xff && head[1]&0xe0 == 0xe0 && head[1]&0x06 != 0:
		return "audio/mpeg" // frames without an ID3 tag before them
	case strings.HasPrefix(found, "text/plain") && (!validHead(head) || active(head)):
		return typeUnknown
	}
	return found
}

// validHead reports whether the beginning of a text is UTF-8; its last rune may be cut.
func validHead(head []byte) bool {
	if len(head) == sniffBytes {
		for i := 1; i < utf8.UTFMax && !utf8.Valid(head); i++ {
			head = head[:len(head)-1]
		}
	}
	return utf8.Valid(head)
}

// active reports whether a text has what an old or careless reader could take for markup.
func active(head []byte) bool {
	lower := bytes.ToLower(head)
	for _, sign := range [...]string{"<script", "<html", "<svg", "<!doctype", "<?xml", "<iframe", "<body", "<img"} {
		if bytes.Contains(lower, []byte(sign)) {
			return true
		}
	}
	return false
}

// isShown reports whether a file of that type is shown in its place rather than saved. A PDF can hold scripts, and the
// sandbox that every file is served with would keep it from being shown anyway.
func isShown(kind string) bool {
	return kind != typeUnknown && kind != "application/pdf" && kind != "application/zip"
}
