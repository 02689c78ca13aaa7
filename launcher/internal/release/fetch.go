package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"onemore/launcher/internal/state"
)

// UnreachableError says that a file could not be fetched, and where to put it by hand.
type UnreachableError struct {
	URL  string // as it was asked for
	File string // its place in the cache
	Err  error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("get %s: %v", e.URL, e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e *UnreachableError) Hint() string {
	return fmt.Sprintf("without network, put the file there by hand: %s; or name another server by %s", e.File, MirrorVariable)
}

// statusError is an answer of the server that is no file.
type statusError struct{ status string }

func (e *statusError) Error() string { return "the server answers " + e.status }

// A transfer that breaks is tried again from where it broke, as long as each try brings something.
const (
	tries      = 5
	retryPause = 200 * time.Millisecond
	idleLimit  = 30 * time.Second // a server that sends nothing for so long is given up
	maxSums    = 4 << 20          // of a file of digests
)

// part describes the beginning of a file on disk, so that another process can go on.
type part struct {
	URL  string `json:"url"`
	ETag string `json:"etag"` // strong validator or date that the rest must have too
}

// fetchArchive returns the path of the whole archive in the cache. One that is there already was put there by hand, or by a
// process that ended before it was done.
func (c *Cache) fetchArchive(ctx context.Context, s Source, progress func(Progress)) (string, error) {
	file := c.file(s, s.URL)
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	return file, c.fetch(ctx, s.URL, file, progress)
}

// fetch brings what the URL names into the file, which appears when it is whole. What a transfer that broke has brought stays
// beside it, in FILE.part, for the next one.
func (c *Cache) fetch(ctx context.Context, from, file string, progress func(Progress)) error {
	from, err := c.mirrored(from)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		had := size(file + ".part")
		err := c.transfer(ctx, from, file, progress)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		refused := (*statusError)(nil)
		full := errors.As(err, new(*fs.PathError)) // of our own disk
		if errors.As(err, &refused) || full || try >= tries && size(file+".part") <= had || try >= 100*tries {
			return c.unreachable(from, file, err, full)
		}
		if err := pause(ctx, retryPause); err != nil {
			return err
		}
	}
}

// unreachable leaves nothing of a transfer that can't go on: one for which the disk is too small, or that the server refused.
func (c *Cache) unreachable(from, file string, err error, full bool) error {
	if refused := (*statusError)(nil); full || errors.As(err, &refused) {
		removePart(file)
	}
	if full {
		return err
	}
	return &UnreachableError{URL: from, File: file, Err: err}
}

func removePart(file string) {
	_ = os.Remove(file + ".part")
	_ = os.Remove(file + ".part.json")
}

// transfer makes one request and appends what it brings to FILE.part.
func (c *Cache) transfer(ctx context.Context, from, file string, progress func(Progress)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	res, err := c.request(ctx, from, file)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	at, err := startAt(res, from, file)
	if err != nil {
		return err
	}
	total := int64(0)
	if res.ContentLength > 0 {
		total = at + res.ContentLength
	}
	idle := time.AfterFunc(idleLimit, func() { cancel(fmt.Errorf("nothing came for %s", idleLimit)) })
	defer idle.Stop()
	got, err := appendTo(file+".part", at, res.Body, func(n int64) {
		idle.Reset(idleLimit)
		progress(Progress{Phase: "fetch", Bytes: at + n, Total: total})
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err == nil && total > 0 && at+got < total {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if err := os.Rename(file+".part", file); err != nil {
		return err
	}
	removePart(file)
	return nil
}

// request asks for the file, or for the rest of it where its beginning is on disk.
func (c *Cache) request(ctx context.Context, from, file string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity") // the file as it is, so that a part of it can be asked for
	p := part{}
	if err := state.ReadJSON(file+".part.json", &p); err == nil && p.URL == from && p.ETag != "" {
		if n := size(file + ".part"); n > 0 {
			req.Header.Set("Range", "bytes="+strconv.FormatInt(n, 10)+"-")
			req.Header.Set("If-Range", p.ETag)
		}
	}
	client := c.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if urlErr := (*url.Error)(nil); errors.As(err, &urlErr) {
		err = urlErr.Err // the caller names the URL
	}
	return res, err
}

// startAt returns where in the file the answer begins, and records what the rest must be part of.
func startAt(res *http.Response, from, file string) (int64, error) {
	switch {
	case res.StatusCode == http.StatusPartialContent:
		n := size(file + ".part")
		if !strings.HasPrefix(res.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", n)) {
			removePart(file)
			return 0, fmt.Errorf("the server sends %q where the bytes from %d on were asked for", res.Header.Get("Content-Range"), n)
		}
		return n, nil
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		removePart(file)
		return 0, errors.New("the file has changed on the server")
	case res.StatusCode != http.StatusOK:
		return 0, &statusError{res.Status}
	}
	tag := res.Header.Get("ETag")
	if tag == "" || strings.HasPrefix(tag, "W/") {
		tag = res.Header.Get("Last-Modified")
	}
	return 0, state.WriteJSON(file+".part.json", part{URL: from, ETag: tag})
}

// appendTo writes the file from an offset on and tells how many bytes came. An error of the disk is a *fs.PathError.
func appendTo(file string, at int64, body io.Reader, tell func(int64)) (n int64, err error) {
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Truncate(at); err != nil {
		return 0, err
	}
	if _, err := out.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	buf := make([]byte, 256<<10)
	for {
		k, readErr := body.Read(buf)
		if _, err := out.Write(buf[:k]); err != nil {
			return n, err
		}
		n += int64(k)
		tell(n)
		if errors.Is(readErr, io.EOF) {
			return n, nil
		}
		if readErr != nil {
			return n, readErr
		}
	}
}

// mirrored is the URL at the server that is asked in place of the file's own.
func (c *Cache) mirrored(from string) (string, error) {
	u, err := url.Parse(from)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("get %s: want a URL that starts with https:// or http://", from)
	}
	if c.Mirror == "" {
		return from, nil
	}
	mirror, err := url.Parse(c.Mirror)
	if err != nil || mirror.Scheme != "http" && mirror.Scheme != "https" || mirror.Host == "" {
		return "", fmt.Errorf("%s=%s: want a URL that starts with https:// or http://", MirrorVariable, c.Mirror)
	}
	return mirror.JoinPath(u.Host, u.EscapedPath()).String(), nil
}

// size is how large a file is; 0 if there is none.
func size(file string) int64 {
	info, err := os.Stat(filepath.Clean(file))
	if err != nil {
		return 0
	}
	return info.Size()
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
