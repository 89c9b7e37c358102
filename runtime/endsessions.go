package runtime

import (
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// maxEnded bounds the sessions that one commit ends.
const maxEnded = 4000

// endSessions adds the end of every session of a user to a batch, but for the one whose token's id is keep. It returns how many.
func (r *request) endSessions(b *kv.Batch, user kv.DocID, keep string) (int, error) {
	snap, err := r.snapshot()
	if err != nil {
		return 0, err
	}
	c, ok := snap.Collection(project.Sessions)
	if !ok {
		return 0, nil
	}
	page, err := snap.Find(r.reading(), c, &kv.Query{Limit: maxEnded,
		Where: []kv.Predicate{{Path: "userId", Op: kv.Eq, Values: []kv.Value{kv.String(user.String())}}}})
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, doc := range page.Docs {
		s, err := r.decodeSession(doc)
		if err != nil {
			return 0, err
		}
		if s.revoked || s.tokenID == keep {
			continue
		}
		if err := s.revoke(b); err != nil {
			return 0, err
		}
		ended++
	}
	return ended, nil
}
