package nodecore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shown connects by TLS, trusting this PEM only, and returns the node's certificate.
func shown(t *testing.T, n *Node, listener string, ca []byte) (*x509.Certificate, error) {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("no certificate in %q", ca)
	}
	conn, err := tls.Dial("tcp", n.Addr(listener), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// A ready node's data directory has the CA by which its TLS listeners can be trusted; the certificate is as short-lived as
// clients want it.
func TestCAIsThereWhenReady(t *testing.T) {
	cfg := testConfig(t, "a")
	n := open(t, cfg)
	waitReady(t, n)
	ca, err := os.ReadFile(filepath.Join(cfg.dataDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, listener := range []string{"mqtts", "wss"} {
		cert, err := shown(t, n, listener, ca)
		if err != nil {
			t.Fatal(err)
		}
		if days := cert.NotAfter.Sub(cert.NotBefore).Hours() / 24; days > 825 {
			t.Errorf("%s: valid for %v days", listener, days)
		}
	}
	b := open(t, testConfig(t, "b"))
	if err := b.Join(t.Context(), target(n)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		got, err := os.ReadFile(filepath.Join(b.dataDir(), "ca.pem"))
		if err == nil && string(got) != string(ca) {
			err = errors.New("another CA")
		}
		return err
	})
}

// certificate writes a self-signed certificate for localhost.
func certificate(t *testing.T, dir string) (certPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "c.pem"), certPEM, 0o600), os.WriteFile(filepath.Join(dir, "k.pem"), keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	return certPEM
}

func TestOwnCertificate(t *testing.T) {
	cfg := testConfig(t, "a")
	own := certificate(t, cfg.Dir)
	cfg.TLS = TLSConfig{CertFile: "c.pem", KeyFile: "k.pem"}
	n := open(t, cfg)
	waitReady(t, n)
	cert, err := shown(t, n, "mqtts", own)
	if err != nil || cert.SerialNumber.Int64() != 7 {
		t.Errorf("got %v, %v", cert, err)
	}
	if _, err := os.Stat(filepath.Join(cfg.dataDir(), "ca.pem")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a CA that nothing is signed by is there: %v", err)
	}
	for _, bad := range []TLSConfig{{CertFile: "c.pem"}, {KeyFile: "k.pem"}, {CertFile: "k.pem", KeyFile: "c.pem"}, {CertFile: "none", KeyFile: "k.pem"}} {
		cfg.TLS = bad
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "tls") {
			t.Errorf("%+v: got %v", bad, err)
		}
	}
}
