package probe

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clientCertificate writes a certificate and its key to files.
func clientCertificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestHTTPS asks a server whose certificate is nobody's, and which wants to know its client.
func TestHTTPS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			who = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprint(w, who)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	defer s.Close()
	p := newProber(t)
	cert, key := clientCertificate(t, "probe")
	for _, c := range []Call{{HTTP: s.URL, Expect: "^nobody$"}, {HTTP: s.URL, Cert: cert, Key: key, Expect: "^probe$"}, {HTTP: s.URL, Cert: cert, Key: key, Expect: "^probe$"}} {
		if _, err := p.Do(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	_, err := p.Do(t.Context(), Call{HTTP: s.URL, Cert: "/none.pem", Key: key})
	if err == nil || !strings.Contains(err.Error(), "read client certificate") {
		t.Errorf("a certificate that is not there: %v", err)
	}
}

// TestTCPTLS speaks TLS at once, and after a greeting.
func TestTCPTLS(t *testing.T) {
	cert, key := clientCertificate(t, "server")
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, func(conn net.Conn) {
		fmt.Fprint(conn, "INFO {\"tls\":true}\r\n")
		talk(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own}}))
	})
	direct := serve(t, func(conn net.Conn) { talk(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own}})) })
	p := newProber(t)
	for _, c := range []Call{
		{TCP: addr, TLS: `^INFO .*\r\n`, Send: "PING\n", Expect: "^got PING"},
		{TCP: direct, TLS: "direct", Send: "PING\n", Expect: "^got PING"},
	} {
		if _, err := p.Do(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	silent := serve(t, func(conn net.Conn) { fmt.Fprint(conn, "no TLS here\r\n") })
	_, err = p.Do(t.Context(), Call{TCP: silent, TLS: "^INFO", Send: "PING\n", Expect: "x"})
	if err == nil || !strings.Contains(err.Error(), `begin TLS: the server said "no TLS here" first, which does not match "^INFO"`) {
		t.Errorf("a server without TLS: %v", err)
	}
}

func talk(conn net.Conn) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil {
		fmt.Fprint(conn, "got "+line)
	}
}
