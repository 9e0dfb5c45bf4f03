/* SPDX-License-Identifier: ISC */
/* Keys in PKCS#11 tokens, reached through the RPC client of p11-kit: the
 * token's own module runs in the process of `p11-kit server`, not in ours.
 * All of it blocks, and runs in a thread of its own; it does not log. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <p11-kit/pkcs11.h>

#include "bellbird/buf.h"
#include "bellbird/file.h"
#include "bellbird/mem.h"
#include "bellbird/str.h"

#include "internal.h"
#include "p11.h"

enum {
	PIN_FILE_MAX = 1024, /* a PIN has 255 bytes at most (SoftHSM) */
	SLOTS_MAX = 64,      /* readers and tokens behind one server */
	REFUSED_MAX = 16     /* PINs that are not tried again */
};

struct p11_mod {
	char module[PATH_MAX];
	char server[512];    /* "unix:path=..", for the reader */
	CK_FUNCTION_LIST *f; /* NULL: not loaded yet */
	bool ready;          /* C_Initialize() was called */
	unsigned int epoch;  /* counts initialisations: old handles are void */
	/* Hashes of token and PIN that a token refused: three tries lock it. */
	uint8_t refused[REFUSED_MAX][SHA256_DIGEST_LENGTH];
	size_t num_refused;
};

struct p11_token {
	struct p11_mod *m;
	struct p11_uri uri;
	EVP_PKEY *pub; /* owned reference */
	char name[40]; /* for the reader */
	unsigned int epoch;
	bool open;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;
};

/* ---- what went wrong, in words ---- */

/* Copies a text from outside without what has no business in a sentence. */
static void
plain(char *out, size_t size, const char *in)
{
	ignore_err(str_copy(out, size, in), "a long name is cut");
	for (char *p = out; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '"')
			*p = '?';
	}
}

/* Fills in a fault; always E_TLS_KEY. */
static int __attribute__((format(printf, 3, 4)))
fault(struct p11_fault *f, const char *class, const char *fmt, ...)
{
	char text[sizeof(f->text) * 4];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->class = class;
	plain(f->text, sizeof(f->text), text);
	return E_TLS_KEY;
}

/* The names of the results one meets. */
static const char *
rv_name(CK_RV rv)
{
	static const struct {
		CK_RV rv;
		const char *name;
	} t[] = {
		{ CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR" },
		{ CKR_FUNCTION_FAILED, "CKR_FUNCTION_FAILED" },
		{ CKR_FUNCTION_NOT_SUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED" },
		{ CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR" },
		{ CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED" },
		{ CKR_KEY_FUNCTION_NOT_PERMITTED,
		    "CKR_KEY_FUNCTION_NOT_PERMITTED" },
		{ CKR_KEY_TYPE_INCONSISTENT, "CKR_KEY_TYPE_INCONSISTENT" },
		{ CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID" },
		{ CKR_MECHANISM_PARAM_INVALID, "CKR_MECHANISM_PARAM_INVALID" },
		{ CKR_OBJECT_HANDLE_INVALID, "CKR_OBJECT_HANDLE_INVALID" },
		{ CKR_PIN_EXPIRED, "CKR_PIN_EXPIRED" },
		{ CKR_PIN_LOCKED, "CKR_PIN_LOCKED" },
		{ CKR_SESSION_CLOSED, "CKR_SESSION_CLOSED" },
		{ CKR_SESSION_HANDLE_INVALID, "CKR_SESSION_HANDLE_INVALID" },
		{ CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT" },
		{ CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN" },
		{ CKR_USER_PIN_NOT_INITIALIZED,
		    "CKR_USER_PIN_NOT_INITIALIZED" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (t[i].rv == rv)
			return t[i].name;
	}
	return "see pkcs11.h";
}

/* A call that failed for no reason we know a sentence for. */
static int
call_fault(
    struct p11_fault *f, const struct p11_token *t, const char *call, CK_RV rv)
{
	return fault(f, "key.token", "the token %s fails: %s gives 0x%lx, %s",
	    t->name, call, (unsigned long)rv, rv_name(rv));
}

/* True for what a token says that went away, or whose server did. */
static bool
is_gone(CK_RV rv)
{
	return rv == CKR_DEVICE_ERROR || rv == CKR_DEVICE_REMOVED ||
	    rv == CKR_TOKEN_NOT_PRESENT || rv == CKR_SESSION_CLOSED ||
	    rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_GENERAL_ERROR ||
	    rv == CKR_OBJECT_HANDLE_INVALID || rv == CKR_KEY_HANDLE_INVALID ||
	    rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_SLOT_ID_INVALID ||
	    rv == CKR_CRYPTOKI_NOT_INITIALIZED;
}

/* ---- the module ---- */

struct p11_mod *
tls_p11_mod_new(const char *module, const char *server)
{
	struct p11_mod *m;

	if ((m = calloc(1, sizeof(*m))) == NULL)
		return NULL;
	ignore_err(str_copy(m->module, sizeof(m->module), module),
	    "then it is not found, by that name");
	ignore_err(str_copy(m->server, sizeof(m->server), server),
	    "then it is not found, by that name");
	return m;
}

void
tls_p11_mod_free(struct p11_mod *m)
{
	/* Neither C_Finalize(), which may block, nor dlclose(): the server
	 * sees the end of the process. */
	free(m);
}

/* Is OpenSSL mapped by now? */
static int
on_mapped(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	*(bool *)arg |= tls_p11_elf_is_openssl(info->dlpi_name);
	return 0;
}

/* Loads the module, unless it would bring OpenSSL into the process. */
static int
mod_load(struct p11_mod *m, struct p11_fault *f)
{
	CK_C_GetFunctionList get;
	char lib[64] = "OpenSSL";
	bool mapped = false;
	CK_RV rv = CKR_OK;
	void *dl, *sym;

	if (m->f != NULL)
		return 0;
	f->lasting = true;
	if (tls_p11_elf_clash(m->module, lib, sizeof(lib)))
		return fault(f, "key.token",
		    "the module %s would map %s, which clashes with our TLS "
		    "library: serve it by p11-kit server",
		    m->module, lib);
	if ((dl = dlopen(m->module, RTLD_NOW | RTLD_LOCAL)) == NULL)
		return fault(f, "key.token",
		    "the module cannot be loaded (%s): install "
		    "p11-kit-modules or set tls.pkcs11.module",
		    dlerror());
	(void)dl_iterate_phdr(on_mapped, &mapped);
	if (mapped) {
		dlclose(dl);
		return fault(f, "key.token",
		    "the module %s mapped OpenSSL, which clashes with our TLS "
		    "library: serve it by p11-kit server, and restart",
		    m->module);
	}
	sym = dlsym(dl, "C_GetFunctionList");
	memcpy(&get, &sym, sizeof(get)); /* POSIX: it is a function */
	if (sym == NULL || (rv = get(&m->f)) != CKR_OK || m->f == NULL) {
		m->f = NULL;
		dlclose(dl);
		return fault(f, "key.token",
		    "the module %s is no PKCS#11 module (0x%lx)", m->module,
		    (unsigned long)rv);
	}
	f->lasting = false;
	return 0;
}

/* Why nobody answers at "unix:path=/a": an errno, or 0 if somebody does. */
static int
server_probe(const char *address)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	static const char prefix[] = "unix:path=";
	int fd, err = 0;

	if (strncmp(address, prefix, sizeof(prefix) - 1) != 0 ||
	    strchr(address, '%') != NULL ||
	    str_copy(sa.sun_path, sizeof(sa.sun_path),
		address + sizeof(prefix) - 1) != 0)
		return 0; /* p11-kit knows more forms than we do */
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		err = errno;
	close(fd);
	return err;
}

/* Connects to the server.  The RPC client takes an absent one for one without
 * tokens, so that is told apart here. */
static int
mod_start(struct p11_mod *m, struct p11_fault *f)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_RV rv;
	int err;

	if ((err = mod_load(m, f)) != 0 || m->ready)
		return err;
	if ((err = server_probe(m->server)) != 0)
		return fault(f, "key.token",
		    "no p11-kit server answers at %s (%s): start it, see "
		    "tls.pkcs11.server",
		    m->server, err_str(err));
	rv = m->f->C_Initialize(&args);
	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return fault(f, "key.token",
		    "no p11-kit server answers at %s (0x%lx, %s): start it, "
		    "see tls.pkcs11.server",
		    m->server, (unsigned long)rv, rv_name(rv));
	m->ready = true;
	m->epoch++;
	return 0;
}

/* Gives up the connection to the server: the next call makes a new one. */
static void
mod_stop(struct p11_mod *m)
{
	if (m->ready)
		(void)m->f->C_Finalize(NULL); /* says that it is gone: yes */
	m->ready = false;
}

/* ---- the token ---- */

/* Compares a field of a token, padded with blanks (PKCS#11 2.40 3.1). */
static bool
field_is(const struct p11_attr *a, const unsigned char *p, size_t n)
{
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\0'))
		n--;
	return !a->given || (a->n == n && memcmp(a->v, p, n) == 0);
}

/* Finds the one token that fits. */
static int
token_find(struct p11_token *t, CK_SLOT_ID *out, CK_TOKEN_INFO *info,
    struct p11_fault *f)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG num = SLOTS_MAX;
	CK_TOKEN_INFO i;
	size_t found = 0;
	CK_RV rv;

	if ((rv = t->m->f->C_GetSlotList(CK_TRUE, slots, &num)) != CKR_OK)
		return call_fault(f, t, "C_GetSlotList", rv);
	for (CK_ULONG k = 0; k < num; k++) {
		if (t->m->f->C_GetTokenInfo(slots[k], &i) != CKR_OK ||
		    (i.flags & CKF_TOKEN_INITIALIZED) == 0 ||
		    !field_is(&t->uri.token, i.label, sizeof(i.label)) ||
		    !field_is(&t->uri.manufacturer, i.manufacturerID,
			sizeof(i.manufacturerID)) ||
		    !field_is(&t->uri.serial, i.serialNumber,
			sizeof(i.serialNumber)) ||
		    !field_is(&t->uri.model, i.model, sizeof(i.model)))
			continue;
		*out = slots[k];
		*info = i;
		found++;
	}
	if (found == 1)
		return 0;
	return fault(f, "key.token",
	    found == 0 ? "the p11-kit server has no token %s: plug it in, or "
			 "serve it"
		       : "more than one token is %s: name its serial too",
	    t->name);
}

/* Hash of a token and a PIN. */
static void
pin_hash(const CK_TOKEN_INFO *i, const struct buf *pin,
    uint8_t out[static SHA256_DIGEST_LENGTH])
{
	SHA256_CTX c;

	SHA256_Init(&c);
	SHA256_Update(&c, i->label, sizeof(i->label));
	SHA256_Update(&c, i->serialNumber, sizeof(i->serialNumber));
	SHA256_Update(&c, pin->p, pin->n);
	SHA256_Final(out, &c);
	mem_wipe(&c, sizeof(c));
}

/* Was this PIN refused before?  With `add` it is from now on. */
static bool
pin_refused(struct p11_mod *m, const uint8_t *hash, bool add)
{
	for (size_t i = 0; i < m->num_refused; i++) {
		if (memcmp(m->refused[i], hash, sizeof(m->refused[i])) == 0)
			return true;
	}
	if (add && m->num_refused < REFUSED_MAX)
		memcpy(
		    m->refused[m->num_refused++], hash, sizeof(m->refused[0]));
	/* A list that is full refuses all: nobody has that many PINs. */
	return m->num_refused == REFUSED_MAX;
}

/* What C_Login() said, in words. */
static int
login_fault(struct p11_fault *f, const struct p11_token *t, CK_RV rv)
{
	switch (rv) {
	case CKR_OK:
	case CKR_USER_ALREADY_LOGGED_IN:
		return 0;
	case CKR_PIN_INCORRECT:
	case CKR_PIN_INVALID:
	case CKR_PIN_LEN_RANGE:
		return fault(f, "key.token",
		    "the token %s refuses the PIN in %s; it is tried again "
		    "when that file changes",
		    t->name, t->uri.pin_file);
	case CKR_PIN_LOCKED:
		return fault(f, "key.token",
		    "the token %s is locked: unlock it with its SO PIN",
		    t->name);
	default:
		return call_fault(f, t, "C_Login", rv);
	}
}

/* Logs in with the PIN of the file: each PIN is tried once, and never on the
 * last try that a token has. */
static int
token_login(struct p11_token *t, const CK_TOKEN_INFO *info, struct p11_fault *f)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	struct buf pin;
	CK_RV rv;
	int err;

	if ((info->flags & CKF_LOGIN_REQUIRED) == 0)
		return 0;
	if (t->uri.pin_file[0] == '\0')
		return fault(f, "key.token",
		    "the token %s wants a PIN: write it to a file and add "
		    "?pin-source=file:/path to the URI",
		    t->name);
	if ((info->flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY)) != 0)
		return fault(f, "key.token",
		    "the token %s is locked or has one try left, which is "
		    "left to you: log in by hand",
		    t->name);
	buf_init_secret(&pin, PIN_FILE_MAX);
	if ((err = file_read(t->uri.pin_file, &pin)) != 0) {
		buf_clear(&pin);
		return fault(f, "key.token",
		    "the PIN file %s cannot be read: %s", t->uri.pin_file,
		    err_str(err));
	}
	for (size_t i = 0; i < pin.n; i++) { /* its first line */
		if (pin.p[i] == '\n' || pin.p[i] == '\r')
			buf_cut(&pin, i);
	}
	pin_hash(info, &pin, hash);
	rv = pin_refused(t->m, hash, false)
	    ? CKR_PIN_INCORRECT
	    : t->m->f->C_Login(t->session, CKU_USER, pin.p, pin.n);
	buf_clear(&pin);
	if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID ||
	    rv == CKR_PIN_LEN_RANGE)
		pin_refused(t->m, hash, true);
	mem_wipe(hash, sizeof(hash));
	return login_fault(f, t, rv);
}

/* Finds the one private key that fits. */
static int
key_find(struct p11_token *t, struct p11_fault *f)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE want[3] = { { CKA_CLASS, &class, sizeof(class) } };
	CK_OBJECT_HANDLE got[2];
	CK_ULONG num = 0, n = 1;
	CK_RV rv;

	if (t->uri.object.given)
		want[n++] = (CK_ATTRIBUTE){ CKA_LABEL, t->uri.object.v,
			t->uri.object.n };
	if (t->uri.id.given)
		want[n++] = (CK_ATTRIBUTE){ CKA_ID, t->uri.id.v, t->uri.id.n };
	if ((rv = t->m->f->C_FindObjectsInit(t->session, want, n)) != CKR_OK)
		return call_fault(f, t, "C_FindObjectsInit", rv);
	rv = t->m->f->C_FindObjects(t->session, got, 2, &num);
	(void)t->m->f->C_FindObjectsFinal(t->session);
	if (rv != CKR_OK)
		return call_fault(f, t, "C_FindObjects", rv);
	if (num != 1)
		return fault(f, "key.token",
		    num == 0 ? "the token %s has no private key of this "
			       "object and id"
			     : "the token %s has more than one private key "
			       "that fits: name its id",
		    t->name);
	t->key = got[0];
	return 0;
}

/* ---- signatures ---- */

/* r and s, of the same length each (PKCS#11 2.3.1), as DER (RFC 3279 2.2.3). */
static int
ecdsa_der(struct p11_sign *s)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	size_t half = s->num_sig / 2, n = 0;
	uint8_t *der = NULL;
	int err = E_TLS_KEY;

	if (sig != NULL && s->num_sig % 2 == 0 && half > 0 &&
	    BN_bin2bn(s->sig, half, sig->r) != NULL &&
	    BN_bin2bn(s->sig + half, half, sig->s) != NULL &&
	    ECDSA_SIG_to_bytes(&der, &n, sig) == 1 && n <= sizeof(s->sig)) {
		memcpy(s->sig, der, n);
		s->num_sig = n;
		err = 0;
	}
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	return err;
}

/* The mechanisms for one signature. */
struct mech {
	CK_MECHANISM m;
	CK_RSA_PKCS_PSS_PARAMS pss;
	const char *name;
	uint8_t in[128]; /* what is handed over: a digest, or its DigestInfo */
	size_t n;
};

/* Parameters of PSS as TLS wants them (RFC 8446 4.2.3): salt as long as the
 * digest, MGF1 with the same hash. */
static void
pss_params(CK_RSA_PKCS_PSS_PARAMS *p, const struct p11_sign *s)
{
	p->hashAlg = s->nid == NID_sha512 ? CKM_SHA512
	    : s->nid == NID_sha384        ? CKM_SHA384
					  : CKM_SHA256;
	p->mgf = s->nid == NID_sha512 ? CKG_MGF1_SHA512
	    : s->nid == NID_sha384    ? CKG_MGF1_SHA384
				      : CKG_MGF1_SHA256;
	p->sLen = s->num_digest;
}

/* Chooses the mechanism; ENOMEM. */
static int
mech_set(struct mech *k, const struct p11_token *t, const struct p11_sign *s)
{
	const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(t->pub);
	uint8_t *info = NULL;
	size_t order, n = 0;
	int is_own = 0;

	memset(k, 0, sizeof(*k));
	memcpy(k->in, s->digest, s->num_digest);
	k->n = s->num_digest;
	if (ec != NULL) {
		k->name = "CKM_ECDSA";
		k->m.mechanism = CKM_ECDSA;
		/* FIPS 186-4 6.4: the left-most bits count. */
		order = (EC_GROUP_order_bits(EC_KEY_get0_group(ec)) + 7) / 8;
		k->n = k->n > order ? order : k->n;
		return 0;
	}
	if (s->pss) {
		k->name = "CKM_RSA_PKCS_PSS";
		pss_params(&k->pss, s);
		k->m =
		    (CK_MECHANISM){ CKM_RSA_PKCS_PSS, &k->pss, sizeof(k->pss) };
		return 0;
	}
	k->name = "CKM_RSA_PKCS";
	k->m.mechanism = CKM_RSA_PKCS;
	if (!RSA_add_pkcs1_prefix(
		&info, &n, &is_own, s->nid, s->digest, s->num_digest))
		return ENOMEM;
	k->n = n < sizeof(k->in) ? n : 0;
	memcpy(k->in, info, k->n);
	if (is_own)
		OPENSSL_free(info);
	return 0;
}

/* One signature; `*gone`: worth opening everything anew. */
static int
key_sign(
    struct p11_token *t, struct p11_sign *s, bool *gone, struct p11_fault *f)
{
	CK_ULONG n = sizeof(s->sig);
	struct mech k;
	CK_RV rv;

	*gone = false;
	if (mech_set(&k, t, s) != 0)
		return fault(f, "key.token", "%s", err_str(ENOMEM));
	rv = t->m->f->C_SignInit(t->session, &k.m, t->key);
	if (rv == CKR_OK)
		rv = t->m->f->C_Sign(t->session, k.in, k.n, s->sig, &n);
	*gone = is_gone(rv);
	if (rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID)
		return fault(f, "key.token",
		    "the token %s does not offer %s, which this handshake "
		    "needs",
		    t->name, k.name);
	if (rv != CKR_OK)
		return call_fault(f, t, "C_Sign", rv);
	s->num_sig = n;
	if (EVP_PKEY_id(t->pub) == EVP_PKEY_EC && ecdsa_der(s) != 0)
		return fault(f, "key.token",
		    "the token %s makes signatures that are none", t->name);
	return 0;
}

/* Verifies with the key of the certificate. */
static bool
is_ours(const struct p11_token *t, const struct p11_sign *s)
{
	RSA *rsa = EVP_PKEY_get0_RSA(t->pub);
	EC_KEY *ec = EVP_PKEY_get0_EC_KEY(t->pub);

	if (ec != NULL)
		return ECDSA_verify(0, s->digest, s->num_digest, s->sig,
			   s->num_sig, ec) == 1;
	if (s->pss)
		return RSA_verify_pss_mgf1(rsa, s->digest, s->num_digest,
			   EVP_sha256(), EVP_sha256(), -1, s->sig,
			   s->num_sig) == 1;
	return RSA_verify(s->nid, s->digest, s->num_digest, s->sig, s->num_sig,
		   rsa) == 1;
}

/* Proves that the key belongs to the certificate, by a signature of no use
 * to anybody else: the digest is of our own words. */
static int
key_prove(struct p11_token *t, struct p11_fault *f)
{
	static const char words[] = "bellbird: is this the right key?";
	struct p11_sign s = { .nid = NID_sha256,
		.num_digest = SHA256_DIGEST_LENGTH };
	bool gone;
	int err;

	SHA256((const uint8_t *)words, sizeof(words) - 1, s.digest);
	err = key_sign(t, &s, &gone, f);
	if (err != 0 && EVP_PKEY_id(t->pub) == EVP_PKEY_RSA && !gone) {
		s.pss = true; /* some tokens offer only that */
		err = key_sign(t, &s, &gone, f);
	}
	if (err == 0 && !is_ours(t, &s)) {
		f->lasting = true;
		err = fault(f, "key.mismatch",
		    "certificate and key do not belong together: the token %s "
		    "holds another key, install the certificate issued for it",
		    t->name);
	}
	tls_err_drop();
	return err;
}

/* ---- a key in use ---- */

struct p11_token *
tls_p11_token_new(struct p11_mod *m, const struct p11_uri *uri, EVP_PKEY *pub)
{
	const struct p11_attr *a = &uri->token;
	struct p11_token *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	t->m = m;
	t->uri = *uri;
	EVP_PKEY_up_ref(pub);
	t->pub = pub;
	if (!a->given || a->n == 0)
		a = &uri->serial;
	if (a->given && a->n > 0)
		snprintf(t->name, sizeof(t->name), "'%.32s'", a->v);
	return t;
}

void
tls_p11_token_close(struct p11_token *t)
{
	if (t->open && t->m->ready && t->epoch == t->m->epoch)
		(void)t->m->f->C_CloseSession(t->session);
	t->open = false;
}

void
tls_p11_token_free(struct p11_token *t)
{
	if (t == NULL)
		return;
	EVP_PKEY_free(t->pub);
	free(t);
}

/* Opens a session with the key, from wherever that stands. */
static int
token_open(struct p11_token *t, struct p11_fault *f)
{
	CK_TOKEN_INFO info;
	CK_SLOT_ID slot = 0;
	CK_RV rv;
	int err;

	if ((err = mod_start(t->m, f)) != 0)
		return err;
	if (t->open && t->epoch == t->m->epoch)
		return 0;
	t->open = false;
	if ((err = token_find(t, &slot, &info, f)) != 0)
		return err;
	rv = t->m->f->C_OpenSession(
	    slot, CKF_SERIAL_SESSION, NULL, NULL, &t->session);
	if (rv != CKR_OK)
		return call_fault(f, t, "C_OpenSession", rv);
	t->open = true;
	t->epoch = t->m->epoch;
	if ((err = token_login(t, &info, f)) != 0 ||
	    (err = key_find(t, f)) != 0 || (err = key_prove(t, f)) != 0)
		tls_p11_token_close(t);
	return err;
}

/* Opens and signs; what went away on the way is closed.  `*again`: with a new
 * connection to the server it may go better. */
static int
token_try(
    struct p11_token *t, struct p11_sign *s, bool *again, struct p11_fault *f)
{
	bool gone = false;
	int err;

	memset(f, 0, sizeof(*f));
	f->class = "";
	err = token_open(t, f);
	if (err == 0 && s != NULL)
		err = key_sign(t, s, &gone, f);
	*again = err != 0 && !f->lasting && (gone || !t->open);
	if (*again) {
		tls_p11_token_close(t);
		mod_stop(t->m);
	}
	return err;
}

int
tls_p11_token_sign(struct p11_token *t, struct p11_sign *s, struct p11_fault *f)
{
	/* A server that was restarted is noticed only when it is asked. */
	bool was_ready = t->m->ready, again;
	int err;

	err = token_try(t, s, &again, f);
	if (again && was_ready)
		err = token_try(t, s, &again, f);
	return err;
}
