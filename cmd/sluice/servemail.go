package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/runtime/deliver"
)

// passwordVariable holds the mail server's password. There is no flag for it: whoever lists processes would read it.
const passwordVariable = "SLUICE_SMTP_PASSWORD"

// mailFlags are the flags of serve that name a mail server.
func mailFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "smtp-host", Usage: "mail server; without one mails are kept as files in DIR/outbox", Sources: cli.EnvVars("SLUICE_SMTP_HOST")},
		&cli.IntFlag{Name: "smtp-port", Usage: "default 587, with --smtp-tls implicit 465, with none 25", Sources: cli.EnvVars("SLUICE_SMTP_PORT")},
		&cli.StringFlag{Name: "smtp-tls", Value: deliver.TLSStart, Usage: "starttls (no mail without it), implicit, or none: in the clear, for a server on this machine", Sources: cli.EnvVars("SLUICE_SMTP_TLS")},
		&cli.StringFlag{Name: "smtp-ca-file", Usage: "PEM file with the authorities that may vouch for the mail server (default: the system's)", Sources: cli.EnvVars("SLUICE_SMTP_CA_FILE"), TakesFile: true},
		&cli.StringFlag{Name: "smtp-user", Usage: "user to log in as", Sources: cli.EnvVars("SLUICE_SMTP_USER")},
		&cli.StringFlag{Name: "smtp-password-file", Usage: "file that holds the password, or set " + passwordVariable, Sources: cli.EnvVars("SLUICE_SMTP_PASSWORD_FILE"), TakesFile: true},
		&cli.StringFlag{Name: "smtp-name", Usage: "name that the node gives itself to the mail server (default: the machine's)", Sources: cli.EnvVars("SLUICE_SMTP_NAME")},
		&cli.BoolFlag{Name: "hold-mail", Usage: "send nothing: mails wait in the outboxes. For a copy of a node, such as a restored backup that is only tried", Sources: cli.EnvVars("SLUICE_HOLD_MAIL")},
		&cli.StringFlag{Name: "mail-from", Usage: "who mails are from where a project does not say, such as 'Blog <no-reply@blog.example>'", Sources: cli.EnvVars("SLUICE_MAIL_FROM")},
	}
}

// mailCarrier makes the carrier that the flags describe, nil for none, and reports every bad flag at once.
func mailCarrier(c *cli.Command) (deliver.Carrier, error) {
	var errs []error
	from := c.String("mail-from")
	if from != "" {
		if err := deliver.CheckAddress(from); err != nil {
			errs = append(errs, fmt.Errorf("--mail-from %q is not an address such as 'Blog <no-reply@blog.example>'", from))
		}
	}
	if c.String("smtp-host") == "" {
		for _, name := range []string{"smtp-port", "smtp-tls", "smtp-ca-file", "smtp-user", "smtp-password-file", "smtp-name"} {
			if c.IsSet(name) {
				errs = append(errs, fmt.Errorf("--%s is given without --smtp-host", name))
			}
		}
		return nil, errors.Join(errs...)
	}
	if from == "" {
		errs = append(errs, errors.New("--mail-from is needed with --smtp-host: a mail server takes no mail from nobody"))
	}
	opt := deliver.SMTPOptions{Host: c.String("smtp-host"), Port: c.Int("smtp-port"), TLS: c.String("smtp-tls"), User: c.String("smtp-user"), Name: c.String("smtp-name")}
	if opt.Port < 0 || opt.Port > 65535 {
		errs = append(errs, errors.New("--smtp-port must be between 1 and 65535"))
	}
	var err error
	if opt.Password, err = mailPassword(c.String("smtp-password-file")); err != nil {
		errs = append(errs, err)
	}
	if name := c.String("smtp-ca-file"); name != "" {
		pem, err := os.ReadFile(name)
		opt.Roots = x509.NewCertPool()
		if err != nil {
			errs = append(errs, fmt.Errorf("--smtp-ca-file: %w", err))
		} else if !opt.Roots.AppendCertsFromPEM(pem) {
			errs = append(errs, fmt.Errorf("--smtp-ca-file: there is no certificate in %s", name))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	carrier, err := deliver.NewSMTP(opt)
	if err != nil {
		return nil, fmt.Errorf("--smtp-…: %w", err)
	}
	return carrier, nil
}

// mailPassword reads the mail server's password from a file that nobody else can read, or from the environment.
func mailPassword(file string) (string, error) {
	if file == "" {
		return os.Getenv(passwordVariable), nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("--smtp-password-file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("--smtp-password-file: %s can be read by other users (mode %04o); run: chmod 600 %s", file, info.Mode().Perm(), file)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--smtp-password-file: %w", err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}
