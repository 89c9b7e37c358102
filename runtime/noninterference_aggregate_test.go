package runtime

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestNonInterferenceOfAggregations asks both twins random pipelines: whatever a pipeline counts, sums, sorts or fails on,
// it must be the same whether or not others own documents.
func TestNonInterferenceOfAggregations(t *testing.T) {
	t.Run("documents of another user", func(t *testing.T) { aggregateTwins(t, newTwins(t, 11, true, false)) })
	t.Run("documents that a filter hides", func(t *testing.T) { aggregateTwins(t, newTwins(t, 12, true, true)) })
}

func aggregateTwins(t *testing.T, w *twins) {
	paths := []string{"text", "n", "flag", "due", "tags", "meta.likes", "slug", "note", "many", "userId", "author", "_id", "nothing"}
	expression := func() string {
		path := `"$` + w.pick(paths) + `"`
		return w.pick([]string{path, path, `{"$ifNull":[` + path + `,0]}`, `{"$cond":[{"$gt":[` + path + `,1]},` + path + `,"less"]}`, `{"$substrCP":["$text",0,4]}`, `{"$add":["$n",1]}`, `{"$divide":[1,"$n"]}`, `{"$size":"$tags"}`, `"$$ROOT"`})
	}
	stage := func(collection string) string {
		path := w.pick(paths)
		switch w.rng.IntN(9) {
		case 0, 1:
			value := w.pick([]string{`"` + twinBob + `"`, `"` + twinAlice + `"`, `1`, `null`, `"mine"`, `"canary"`, `{"$exists":true}`, `{"$ne":1}`, `{"$gt":0}`, `{"$lte":"z"}`, `{"$regex":"c"}`, `{"$in":[1,2,"` + w.anyID(collection) + `"]}`, `{"$not":{"$gt":3}}`})
			return `{"$match":{"` + path + `":` + value + `}}`
		case 2:
			return `{"$match":{"$or":[{"userId":{"$ne":"` + twinAlice + `"}},{"author":"` + twinBob + `"},{"text":{"$regex":"."}}]}}`
		case 3:
			return `{"$group":{"_id":` + expression() + `,"x":{"` + w.pick([]string{"$sum", "$avg", "$min", "$max", "$first", "$last", "$push", "$addToSet"}) + `":` + expression() + `},"n":{"$count":{}}}}`
		case 4:
			return `{"$sort":{"` + path + `":` + w.pick([]string{"1", "-1"}) + `}}`
		case 5:
			return fmt.Sprintf(`{"%s":%d}`, w.pick([]string{"$limit", "$skip"}), 1+w.rng.IntN(20))
		case 6:
			return `{"$unwind":"$` + w.pick([]string{"tags", "many", "n"}) + `"}`
		case 7:
			return w.pick([]string{`{"$count":"n"}`, `{"$sortByCount":` + `"$` + path + `"}`, `{"$unset":"` + path + `"}`})
		}
		return `{"$addFields":{"` + w.pick([]string{"x", "userId", "author", "text"}) + `":` + expression() + `}}`
	}
	shown, answered := 0, 0
	for range 1500 {
		collection := w.pick([]string{"notes", "cards"})
		stages := make([]string, 1+w.rng.IntN(4))
		for i := range stages {
			stages[i] = stage(collection)
		}
		body := `{"pipeline":[` + strings.Join(stages, ",") + `]}`
		var answers [2]string
		for i, p := range []*tenant{w.full, w.twin} {
			status, answer := w.do("POST", "/api/data/"+collection+"/aggregate", body, "x-api-key", p.pk, "Authorization", w.token[i], "Content-Type", "application/json")
			answers[i] = fmt.Sprint(status, " ", string(answer))
			if status >= 500 || bytes.Contains(answer, []byte("canary ")) {
				t.Errorf("%s %s: %d %s", collection, body, status, answer)
			}
			if status == 200 {
				answered++
				shown += bytes.Count(answer, []byte("mine"))
			}
		}
		if answers[0] != answers[1] {
			t.Errorf("%s %s\nfull: %.600s\ntwin: %.600s", collection, body, answers[0], answers[1])
		}
	}
	if answered < 1500 || shown < 1000 {
		t.Errorf("%d answers showed %d documents: too little is tested", answered, shown)
	}
}
