package runtime

import (
	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// documentID reads the id in the path.
func (r *request) documentID() (kv.DocID, error) {
	id, ok := kv.ParseDocID(r.path.id)
	if !ok {
		return id, errInvalidID
	}
	return id, nil
}

// getDocument answers GET /api/data/{collection}/{id}: the bare document as it is stored, with its revision as ETag.
func getDocument(r *request) error {
	if err := r.bound("access", r.mayRead()); err != nil {
		return err
	}
	id, err := r.documentID()
	if err != nil {
		return err
	}
	doc, err := r.load(id)
	if err := r.told("document", err); err != nil {
		return err
	}
	if !r.owns(doc.JSON) && r.readsOwnOnly() {
		return r.told("owner", errDocumentNotFound.hiding(errNotOwner)) // like a missing one, or an id could be probed
	}
	if r.asksReader(r.collection, hooks.OpRead) || r.asksReader(r.collection, hooks.OpFilter) {
		c, _ := r.snap.Collection(r.collection.Name)
		if err := r.maySee(r.collection, c, &doc); err != nil {
			return hidden(err)
		}
	}
	if len(r.http.URI().QueryString()) > 0 {
		if err := r.query.parseShape(r.http.QueryArgs(), r.collection); err != nil {
			return err
		}
		if !r.query.whole() {
			return r.answerShaped(doc.JSON)
		}
	}
	if matchesETag(r.ifNoneMatch, r.setETag(doc.Rev)) {
		r.http.Response.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	return r.answerRaw(fasthttp.StatusOK, doc.JSON)
}

// insertDocument answers POST /api/data/{collection}: 201 and the bare document as stored.
func insertDocument(r *request) error {
	ch := change{op: hooks.OpInsert}
	return r.writeOne(&ch, func(changes []*change) error {
		return r.writeOnce(changes, fasthttp.StatusCreated, func(dst []byte) []byte { return append(dst, ch.after...) })
	})
}

// updateDocument answers PUT and PATCH, which are the same: the members of the body replace those of the document.
func updateDocument(r *request) error {
	ch := change{op: hooks.OpUpdate}
	if err := r.write(&ch); err != nil {
		return err
	}
	r.setETag(ch.rev)
	b := append(r.answer(fasthttp.StatusOK), `{"message":"Updated","data":`...)
	b = append(b, ch.after...)
	return r.done(append(b, '}'))
}

// deleteDocument answers DELETE with the id as it was given.
func deleteDocument(r *request) error {
	ch := change{op: hooks.OpDelete}
	if err := r.write(&ch); err != nil {
		return err
	}
	b := append(r.answer(fasthttp.StatusOK), `{"message":"Document deleted","id":`...)
	b = jsondoc.AppendString(b, r.path.id)
	return r.done(append(b, '}'))
}

// listDocuments answers GET /api/data/{collection}: a page of documents, or with count=true their number.
func listDocuments(r *request) error {
	if err := r.bound("access", r.mayRead()); err != nil {
		return err
	}
	if err := r.told("query", r.query.parse(r.http.QueryArgs(), r.collection)); err != nil {
		return err
	}
	if err := r.told("scope", r.narrow(&r.query.Query, true)); err != nil {
		return err
	}
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	c, ok := snap.Collection(r.collection.Name)
	if !ok {
		return errCollectionNotFound
	}
	if r.query.explain {
		return r.answerExplain(snap, c)
	}
	if r.query.count {
		return r.answerCount(snap, c)
	}
	if r.query.cursor != "" {
		if r.query.After, err = r.openCursor(r.query.cursor); err != nil {
			return err
		}
	}
	page, err := r.find(snap, c)
	if err := r.told("find", err); err != nil {
		return err
	}
	return r.answerPage(page)
}
