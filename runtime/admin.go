package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Bounds of the admin API.
const (
	maxAdminBody     = 64 << 20 // a bundle with its modules
	maxManifestBytes = 1 << 20
	deployTime       = 100 * time.Second // compiling modules takes longer than any other request may
)

// checkAdminToken admits the operator. The admin listener has no other credential.
func checkAdminToken(r *request) error {
	if r.duplicate {
		return errDuplicateHeader
	}
	token, ok := bearer(r.authorization)
	if !ok || !r.server.adminToken.Equal(auth.Secret(token)) {
		return errAdminToken
	}
	return nil
}

// answerJSON answers the operator with a marshalled value.
func (r *request) answerJSON(status int, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return r.answerRaw(status, raw)
}

// decodeStrictly decodes a JSON body of the operator's. A member that nobody knows is a mistake, not a wish to be ignored.
func decodeStrictly(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the body is not valid: %w", err)
	}
	return nil
}

type wireProject struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Collections int    `json:"collections"`
	Bundle      int    `json:"bundle"` // version, 0 when none is deployed
	BundleError string `json:"bundleError,omitempty"`
	Error       string `json:"error,omitempty"` // why the project could not be opened
}

// adminStatus answers GET /admin/v1/status.
func adminStatus(r *request) error {
	return r.answerJSON(fasthttp.StatusOK, struct {
		Status    string `json:"status"`
		PublicURL string `json:"publicUrl"`
		Projects  int    `json:"projects"`
	}{"ok", r.server.PublicURL(), len(r.server.registry.List())})
}

// adminListProjects answers GET /admin/v1/projects.
func adminListProjects(r *request) error {
	list := []wireProject{}
	for _, p := range r.server.registry.List() {
		st := p.State()
		w := wireProject{ID: p.ID, Name: st.Config.Name, Collections: len(st.Config.Collections), Bundle: st.BundleVersion}
		if st.BundleErr != nil {
			w.BundleError = st.BundleErr.Error()
		}
		if err := p.Broken(); err != nil {
			w.Error = err.Error()
		}
		list = append(list, w)
	}
	return r.answerJSON(fasthttp.StatusOK, map[string]any{"projects": list})
}

// adminApplyProject answers PUT /admin/v1/projects: it creates or updates the project that the body describes.
// ?dryRun=1 says what would change, ?prune=1 allows to drop collections with their documents.
func adminApplyProject(r *request) error {
	cfg, err := project.ParseFile("project", r.http.Request.Body()) // JSON is YAML, and this reader is the stricter one
	if err != nil {
		return err
	}
	args := r.http.QueryArgs()
	opt := project.ApplyOptions{DryRun: args.GetBool("dryRun"), Prune: args.GetBool("prune")}
	done, err := r.server.registry.Apply(r.context(), cfg, opt)
	if err != nil {
		return err
	}
	changes := done.Changes
	if changes == nil {
		changes = []project.Change{}
	}
	status := fasthttp.StatusOK
	if done.Created && !opt.DryRun {
		status = fasthttp.StatusCreated
	}
	var building []wireBuild
	if p, err := r.server.registry.Find(done.ID); err == nil && p.Broken() == nil {
		if building, err = buildsOf(p); err != nil {
			return err
		}
	}
	return r.answerJSON(status, struct {
		ID             string           `json:"id,omitempty"`
		Name           string           `json:"name"`
		Created        bool             `json:"created"`
		DryRun         bool             `json:"dryRun"`
		Changes        []project.Change `json:"changes"`
		Building       []wireBuild      `json:"building,omitempty"` // indexes that queries use once they are complete
		PublishableKey string           `json:"publishableKey,omitempty"`
		SecretKey      string           `json:"secretKey,omitempty"`
	}{done.ID, done.Name, done.Created, opt.DryRun, changes, building, done.PublishableKey.Reveal(), done.SecretKey.Reveal()})
}

// adminDeployBundle answers POST /admin/v1/projects/{project}/bundles: a multipart form with the part `manifest`, JSON,
// and one part a module, whose file name is the module's file in the manifest. ?dryRun=1 does all but activate it.
func adminDeployBundle(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	boundary := r.http.Request.Header.MultipartFormBoundary()
	if len(boundary) == 0 {
		return errBundleInvalid.saying("Send the bundle as multipart/form-data.")
	}
	manifest, modules, err := readBundle(multipart.NewReader(bytes.NewReader(r.http.Request.Body()), string(boundary)))
	if err != nil {
		return errBundleInvalid.saying("%v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deployTime)
	defer cancel()
	if r.http.QueryArgs().GetBool("dryRun") {
		done, err := r.server.registry.TryDeploy(ctx, p, manifest, modules)
		if err != nil {
			return err
		}
		return r.answerJSON(fasthttp.StatusOK, done)
	}
	done, err := r.server.registry.Deploy(ctx, p, manifest, modules)
	if err != nil {
		return err
	}
	r.server.log.Info("bundle deployed", "request_id", string(r.id[:]), "project", p.ID, "version", done.Version)
	return r.answerJSON(fasthttp.StatusCreated, done)
}

// readBundle reads the parts of a bundle. The body as a whole was bounded by the listener.
func readBundle(form *multipart.Reader) (m hooks.Manifest, modules map[string][]byte, err error) {
	modules = map[string][]byte{}
	found := false
	for {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, nil, fmt.Errorf("the multipart body is damaged: %w", err)
		}
		if part.FormName() == "manifest" {
			if found {
				return m, nil, errors.New("there are two manifests")
			}
			found = true
			dec := json.NewDecoder(io.LimitReader(part, maxManifestBytes))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&m); err != nil {
				return m, nil, fmt.Errorf("the manifest is not valid: %w", err)
			}
			continue
		}
		name := part.FileName()
		if _, twice := modules[name]; twice || name == "" {
			return m, nil, fmt.Errorf("the part %q needs a file name of its own", part.FormName())
		}
		if modules[name], err = io.ReadAll(part); err != nil {
			return m, nil, fmt.Errorf("module %s: %w", name, err)
		}
	}
	if !found {
		return m, nil, errors.New(`the part "manifest" is missing`)
	}
	return m, modules, nil
}

// adminListBundles answers GET /admin/v1/projects/{project}/bundles with the versions that are kept, newest first.
func adminListBundles(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	list, err := p.Versions()
	if err != nil {
		return err
	}
	return r.answerJSON(fasthttp.StatusOK, map[string]any{"versions": list})
}

// adminInspectBundle answers GET /admin/v1/projects/{project}/bundles/{version}: what a kept version, or `live`, consists of.
func adminInspectBundle(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	version := 0
	if name := r.param("version"); name != "live" {
		if version, err = strconv.Atoi(name); err != nil || version < 1 {
			return errBundleVersion
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), deployTime)
	defer cancel()
	details, err := r.server.registry.Inspect(ctx, p, version)
	if err != nil {
		return err
	}
	return r.answerJSON(fasthttp.StatusOK, details)
}

// adminRollback answers POST /admin/v1/projects/{project}/bundles/{version}/rollback: that version again, as a new one.
func adminRollback(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(r.param("version"))
	if err != nil {
		return errBundleVersion
	}
	ctx, cancel := context.WithTimeout(context.Background(), deployTime)
	defer cancel()
	done, err := r.server.registry.Rollback(ctx, p, version)
	if err != nil {
		return err
	}
	r.server.log.Info("bundle rolled back", "request_id", string(r.id[:]), "project", p.ID, "to", version, "version", done.Version)
	return r.answerJSON(fasthttp.StatusCreated, done)
}
