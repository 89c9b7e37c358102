// Command pocketbase is the peer that compare measures: PocketBase as its example main has it, with two things added.
// POCKETBASE_SYNCHRONOUS chooses SQLite's synchronous level (empty: what PocketBase chooses itself), and the command
// `prepare` fills a new directory with the collection, the account and the documents of the comparison.
//
// It is a module of its own, so that nothing else has to fetch PocketBase to be built or checked.
package main

import (
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/plugins/jsvm"
	"github.com/pocketbase/pocketbase/tools/types"
	"github.com/spf13/cobra"
	_ "modernc.org/sqlite"
)

func main() {
	var cfg pocketbase.Config
	if level := os.Getenv("POCKETBASE_SYNCHRONOUS"); level != "" {
		cfg.DBConnect = func(path string) (*dbx.DB, error) { return connect(path, level) }
	}
	app := pocketbase.NewWithConfig(cfg)
	jsvm.MustRegister(app, jsvm.Config{HooksDir: os.Getenv("POCKETBASE_HOOKS"), HooksPoolSize: 15}) // the example's default
	app.RootCmd.AddCommand(prepareCommand(app))
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}

// connect opens a database with PocketBase's own pragmas, but for synchronous.
func connect(path, synchronous string) (*dbx.DB, error) {
	pragmas := []string{
		"busy_timeout(10000)", "journal_mode(WAL)", "journal_size_limit(200000000)", "synchronous(" + synchronous + ")",
		"foreign_keys(ON)", "temp_store(MEMORY)", "cache_size(-32000)",
	}
	return dbx.Open("sqlite", path+"?_pragma="+strings.Join(pragmas, "&_pragma="))
}

func prepareCommand(app *pocketbase.PocketBase) *cobra.Command {
	var (
		p     preparation
		tuned bool
	)
	c := &cobra.Command{Use: "prepare", Short: "fill a new directory for a comparison; prints the account's id"}
	c.Flags().IntVar(&p.documents, "documents", 100_000, "how many")
	c.Flags().StringVar(&p.email, "email", "", "of the account")
	c.Flags().StringVar(&p.password, "password", "", "of the account")
	c.Flags().StringVar(&p.text, "text", "", "the body of every document")
	c.Flags().BoolVar(&tuned, "tuned", false, "with the index that serves the filter and the order together")
	c.RunE = func(*cobra.Command, []string) error {
		p.indexes = []string{"CREATE INDEX idx_posts_price ON posts (price)"}
		if tuned {
			p.indexes = append(p.indexes, "CREATE INDEX idx_posts_price_created ON posts (price, created DESC)",
				"CREATE INDEX idx_posts_created ON posts (created DESC)")
		}
		return p.run(app)
	}
	return c
}

type preparation struct {
	documents             int
	email, password, text string
	indexes               []string
}

func (p *preparation) run(app core.App) error {
	if err := app.RunAllMigrations(); err != nil {
		return err
	}
	users, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		return err
	}
	superusers, err := app.FindCollectionByNameOrId(core.CollectionNameSuperusers)
	if err != nil {
		return err
	}
	admin := core.NewRecord(superusers) // without one, serve would open a browser
	admin.SetEmail(p.email)
	admin.SetPassword(p.password)
	if err := app.Save(admin); err != nil {
		return err
	}
	user := core.NewRecord(users)
	user.SetEmail(p.email)
	user.SetPassword(p.password)
	user.SetVerified(true)
	if err := app.Save(user); err != nil {
		return err
	}
	if err := app.Save(p.collection(users.Id)); err != nil {
		return err
	}
	if err := p.fill(app, user.Id); err != nil {
		return err
	}
	for _, statement := range []string{"ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := app.NonconcurrentDB().NewQuery(statement).Execute(); err != nil {
			return err
		}
	}
	fmt.Println(user.Id)
	return nil
}

// collection is the counterpart of Sluice's public-read: everybody reads, the owner writes.
func (p *preparation) collection(usersID string) *core.Collection {
	owner := `@request.auth.id != "" && owner = @request.auth.id`
	c := core.NewBaseCollection("posts")
	c.ListRule, c.ViewRule = types.Pointer(""), types.Pointer("")
	c.CreateRule = types.Pointer(`@request.auth.id != "" && @request.body.owner = @request.auth.id`)
	c.UpdateRule, c.DeleteRule = &owner, &owner
	c.Fields.Add(
		&core.TextField{Name: "title", Required: true, Max: 200},
		&core.TextField{Name: "body", Max: 5000},
		&core.NumberField{Name: "price"},
		&core.RelationField{Name: "owner", CollectionId: usersID, MaxSelect: 1},
		&core.JSONField{Name: "tags"},
		&core.AutodateField{Name: "created", OnCreate: true},
		&core.AutodateField{Name: "updated", OnCreate: true, OnUpdate: true},
	)
	c.Indexes = p.indexes
	return c
}

// fill writes the documents as rows, in one transaction: how they came in is not what is measured.
func (p *preparation) fill(app core.App, owner string) error {
	return app.RunInTransaction(func(tx core.App) error {
		q := tx.NonconcurrentDB().NewQuery(`INSERT INTO posts (id, title, body, price, owner, tags, created, updated)
			VALUES ({:id}, {:title}, {:body}, {:price}, {:owner}, '["go","db","bench"]', {:time}, {:time})`).Prepare()
		defer func() { _ = q.Close() }()
		begun := time.Now().Add(-time.Duration(p.documents) * 100 * time.Millisecond).UTC()
		for i := range p.documents {
			_, err := q.Bind(dbx.Params{
				"id": fmt.Sprintf("r%014d", i), "title": fmt.Sprintf("Post number %d about things", i), "body": p.text,
				"price": i * 7919 % 100, "owner": owner,
				"time": begun.Add(time.Duration(i) * 100 * time.Millisecond).Format(types.DefaultDateLayout),
			}).Execute()
			if err != nil {
				return err
			}
		}
		return nil
	})
}
