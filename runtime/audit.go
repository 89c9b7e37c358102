package runtime

import (
	"net/netip"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// audit adds an entry of the project's audit log to a batch: what has happened to whose account. It is stored with what it tells of,
// or not at all. detail are names and texts in turn; "session" is the id of a session's document. Nothing secret goes in: no address, token, code or
// password.
func (r *request) audit(b *kv.Batch, kind project.AuditKind, user string, detail ...string) {
	e := project.AuditEntry{Time: r.start, Kind: kind, UserID: user, By: r.role.String(), RequestID: string(r.id[:])}
	if r.route.admin() {
		e.By = "operator"
	} else {
		e.IP, e.UserAgent = r.client()
	}
	for i := 0; i+1 < len(detail); i += 2 {
		if detail[i] == "session" {
			e.SessionID = detail[i+1]
		} else {
			e.Detail = append(e.Detail, detail[i], detail[i+1])
		}
	}
	e.Put(b, r.project.DB.NewID(r.start), r.state.Config)
}

// auditFailure counts an attempt that failed, which anybody can repeat at will: see project.Failures. user is empty where there is no such
// account.
func (r *request) auditFailure(kind project.AuditKind, user string) {
	ip, _ := r.client()
	if addr, err := netip.ParseAddr(ip); err == nil && addr.Is6() { // one customer has a whole network of them
		if net, err := addr.Prefix(64); err == nil {
			ip = net.String()
		}
	}
	r.project.Failures.Note(r.start, kind, user, ip)
}

// client says where the request comes from, for whoever looks after an account; nothing, if the project does not keep that.
func (r *request) client() (ip, agent string) {
	if r.state.Config.Auth.HideClients {
		return "", ""
	}
	if addr := r.clientAddr(); addr.IsValid() {
		ip = addr.String()
	}
	return ip, project.Printable(r.http.Request.Header.UserAgent())
}
