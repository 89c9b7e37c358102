package runtime

import (
	"fmt"
	"io"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/deliver"
	"github.com/sluice-edge/sluice/runtime/project"
)

// What the operator sees of a project's mail: how much there is, what waits and what was given up. What a mail says is shown to nobody:
// there are codes in it.

// shownMails is how many mails of each kind one answer lists.
const shownMails = 100

var errMailGone = reason(404, "mail.not_found", "There is no such mail among those that were given up, or it is of no use any more.")

// wireMail is a mail of an outbox.
type wireMail struct {
	ID        string `json:"id"`
	To        string `json:"to"`
	Subject   string `json:"subject"`
	Template  string `json:"template,omitempty"`
	MessageID string `json:"messageId"`
	Created   string `json:"created"`
	Next      string `json:"next,omitempty"` // of one that waits: when it is tried; of one on its way: when the lease ends
	OnItsWay  bool   `json:"onItsWay,omitempty"`
	Tries     int    `json:"tries"`
	Error     string `json:"error,omitempty"` // of the last try
}

type wireTemplate struct {
	ID   string `json:"id"` // what templateId takes
	Name string `json:"name"`
}

type wireOutbox struct {
	deliver.Counts
	Waiting   []wireMail     `json:"waiting"`     // the next ones to go
	Dead      []wireMail     `json:"deadLetters"` // kept for a week
	Templates []wireTemplate `json:"templates"`
}

// openProject finds the project that an admin route names, if its file could be opened.
func (r *request) openProject() (*project.Project, error) {
	p, err := r.server.registry.Find(r.param("project"))
	if err == nil && p.Broken() != nil {
		err = project.ErrBroken
	}
	return p, err
}

// adminMail answers GET /admin/v1/projects/{project}/mail.
func adminMail(r *request) error {
	p, err := r.openProject()
	if err != nil {
		return err
	}
	snap, err := p.DB.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	out := wireOutbox{Templates: []wireTemplate{}}
	if out.Counts, err = deliver.Count(r.context(), snap, project.Outbox); err != nil {
		return err
	}
	for _, list := range []struct {
		state string
		into  *[]wireMail
	}{{deliver.StateDue, &out.Waiting}, {deliver.StateDead, &out.Dead}} {
		entries, err := deliver.List(r.context(), snap, project.Outbox, list.state, shownMails)
		if err != nil {
			return err
		}
		*list.into = make([]wireMail, len(entries))
		for i, e := range entries {
			(*list.into)[i] = showMail(e, p)
		}
	}
	st := p.State()
	for _, name := range st.LetterNames() {
		out.Templates = append(out.Templates, wireTemplate{project.TemplateID(name), name})
	}
	return r.answerJSON(fasthttp.StatusOK, out)
}

func showMail(e *deliver.Entry, p *project.Project) wireMail {
	w := wireMail{ID: e.ID.String(), Template: e.Kind, MessageID: e.MessageID, Created: project.Timestamp(e.Created), Tries: e.Tries, Error: e.Error}
	if e.State == deliver.StateDue {
		w.Next, w.OnItsWay = project.Timestamp(e.Next), e.Holder != ""
	}
	if m, err := e.Message(p.Box); err == nil {
		w.To, w.Subject = m.To, m.Subject
	}
	return w
}

// adminRetryMail answers POST /admin/v1/projects/{project}/mail/retry: mails that were given up are due again, all of them, or with
// ?id= one.
func adminRetryMail(r *request) error {
	p, err := r.openProject()
	if err != nil {
		return err
	}
	var id kv.DocID
	if text := r.http.QueryArgs().Peek("id"); len(text) > 0 {
		var ok bool
		if id, ok = kv.ParseDocID(text); !ok {
			return errInvalidID
		}
	}
	n, err := r.server.post.Retry(r.context(), r.server.outbox(p), id)
	if err != nil {
		return err
	}
	if n == 0 && id != (kv.DocID{}) {
		return errMailGone
	}
	return r.answerJSON(fasthttp.StatusOK, map[string]int{"retried": n})
}

// mailMetrics are what is told of each project's outbox.
var mailMetrics = []struct {
	name  string
	write func(w io.Writer, name string, n *deliver.Counts)
}{
	{"sluice_mail_waiting", func(w io.Writer, name string, n *deliver.Counts) { metrics.WriteGaugeUint64(w, name, uint64(n.Due)) }},
	{"sluice_mail_dead_letters", func(w io.Writer, name string, n *deliver.Counts) { metrics.WriteGaugeUint64(w, name, uint64(n.Dead)) }},
	{"sluice_mail_sent_total", func(w io.Writer, name string, n *deliver.Counts) { metrics.WriteCounterUint64(w, name, uint64(n.Sent)) }},
	{"sluice_mail_failed_total", func(w io.Writer, name string, n *deliver.Counts) {
		metrics.WriteCounterUint64(w, name, uint64(n.Failed))
	}},
}

// appendMailMetrics writes the numbers of every project's outbox to the page of metrics, which goes on without those that
// cannot be had.
func (r *request) appendMailMetrics(page io.Writer) {
	var labels []string
	var counts []deliver.Counts
	for _, p := range r.server.registry.List() {
		if p.Broken() != nil {
			continue
		}
		if n, err := r.mailCounts(p); err == nil {
			labels, counts = append(labels, fmt.Sprintf("{project=%q,name=%q}", p.ID, p.Name())), append(counts, n)
		}
	}
	for _, m := range mailMetrics {
		for i := range counts {
			m.write(page, m.name+labels[i], &counts[i])
		}
	}
}

// mailCounts reads the numbers of a project's outbox.
func (r *request) mailCounts(p *project.Project) (deliver.Counts, error) {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return deliver.Counts{}, err
	}
	defer snap.Close()
	return deliver.Count(r.context(), snap, project.Outbox)
}
