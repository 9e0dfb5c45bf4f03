/* SPDX-License-Identifier: ISC */
/* The media of calls: settings and call in, media_conf out; statistics as
 * JSON.  Here SIP and media meet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ua.h"

int
ua_direct_policy(const char *peer, struct tls_policy *out, void *arg)
{
	const struct app *a = arg;
	char why[WHY_SIZE] = "";
	int err;

	err = settings_policy(
	    a, TLS_USE_SIP, TLS_CLIENT, NULL, peer, out, why, sizeof(why));
	if (err != 0)
		log_err(LOGC_SIP, 0, "call to %s: %s", esc(peer), why);
	return err;
}

const char *
call_signalling(const struct call *c)
{
	enum sip_transport t;
	struct addr local, remote;

	if (c->sip == NULL)
		return c->on_tls ? "tls" : "udp";
	sip_call_addrs(c->sip, &t, &local, &remote);
	return sip_transport_name(t);
}

/* "16384-16482" -> two ports; 0, 0 where the kernel may choose. */
static void
ports_of(const struct app *a, uint16_t *min, uint16_t *max)
{
	struct slice head, tail;
	int64_t lo, hi;

	*min = *max = 0;
	if (!slice_cut(
		slice_of(prov_get(a->store, "media.ports")), '-', &head, &tail))
		return;
	if (str_int(head, 1024, 65535, &lo) != 0 ||
	    str_int(tail, lo, 65535, &hi) != 0)
		return;
	*min = (uint16_t)lo;
	*max = (uint16_t)hi;
}

/* media_cb. */
static void
on_media(struct media_sess *m, enum media_event ev, int value, void *arg)
{
	struct call *c = arg;
	struct jv *f = jv_obj();

	(void)m;
	jv_set_str(f, "call", c->id);
	switch (ev) {
	case MEDIA_EV_FIRST_RX:
		app_event(c->ua->app, "call.audio", f);
		break;
	case MEDIA_EV_PLAYED:
		app_event(c->ua->app, "call.played", f);
		break;
	case MEDIA_EV_DTMF:
		jv_free(f);
		call_digit(c, (char)value, 0, false);
		break;
	case MEDIA_EV_TIMEOUT:
		jv_free(f);
		call_fail(c, "media.timeout",
		    "no audio came for 30 s: hung up. A firewall between the "
		    "two may drop RTP (media.ports).");
		break;
	case MEDIA_EV_FAILED:
		jv_free(f);
		call_fail(c, "media.failed", "there is no audio: %s; hung up",
		    err_str(value));
		break;
	case MEDIA_EV_DEVICE:
		jv_free(f);
		log_warn(LOGC_AUDIO, 0,
		    "call=%s: the audio device is lost, silence in its place",
		    c->id);
		break;
	}
}

const char *
call_device(const struct call *c)
{
	const struct app *a = c->ua->app;
	const char *d = NULL;

	if (a->hooks != NULL && a->hooks->device != NULL && c->sip != NULL)
		d = a->hooks->device(c->sip, a->hooks->arg);
	return d != NULL ? d : prov_get(a->store, "audio.device");
}

int
call_open_media(struct call *c)
{
	const struct app *a = c->ua->app;
	const struct prov_store *s = a->store;
	struct media_conf m = { .loop = a->loop };
	struct addr remote;
	enum sip_transport t;
	int err;

	if (c->media != NULL)
		return 0;
	if (c->sip != NULL) {
		c->on_tls = sip_call_is_secure(c->sip);
		sip_call_addrs(c->sip, &t, &c->local, &remote);
	}
	m.local = c->local;
	if (prov_get(s, "net.sip.addr")[0] != '\0') {
		err = addr_parse(
		    &m.local, slice_of(prov_get(s, "net.sip.addr")), 0);
		if (err != 0)
			return err;
	}
	ports_of(a, &m.port_min, &m.port_max);
	m.srtp = c->srtp >= 0 ? (enum media_srtp_mode)c->srtp
			      : settings_srtp(a, c->on_tls);
	m.clear_signalling_ok = prov_get_bool(s, "sip.srtp.clear_signalling");
	m.signalling_secure = c->on_tls;
	m.suites = prov_get(s, "sip.srtp.suite");
	m.codecs = prov_get(s, "audio.codecs");
	m.ptime_ms = (unsigned int)prov_get_int(s, "media.ptime");
	m.device = call_device(c);
	m.play_fd = c->play_fd;
	m.record_fd = c->record_fd;
	/* A paging speaker's microphone is not opened by whoever calls; who
	 * answers by hand means it. */
	m.mic_muted = c->incoming && c->automatic &&
	    strncmp(m.device, "alsa:", 5) == 0 &&
	    strcmp(prov_get(s, "audio.page.mode"), "two-way") != 0;
	m.jitter_max_ms = (unsigned int)prov_get_int(s, "audio.jc.range");
	m.jitter_extra_ms = (unsigned int)prov_get_int(s, "audio.jc.delay");
	m.dscp_rtp = (int)prov_get_int(s, "net.dscp.rtp");
	m.call_name = c->id;
	if ((err = media_sess_new(&c->media, &m, on_media, c)) == 0)
		c->play_fd = c->record_fd = -1; /* media has them now */
	return err;
}

struct jv *
ua_stats_json(const struct media_stats *st)
{
	struct jv *o = jv_obj();
	char s[ADDR_STR_MAX];

	jv_set_str(o, "codec", st->codec);
	jv_set_str(o, "suite", st->suite);
	jv_set_str(o, "device", st->device);
	addr_print(&st->local, s);
	jv_set_str(o, "local", s);
	addr_print(&st->remote, s);
	jv_set_str(o, "remote", s);
	jv_set_int(o, "tx_packets", (int64_t)st->tx_packets);
	jv_set_int(o, "rx_packets", (int64_t)st->rx_packets);
	jv_set_int(o, "tx_bytes", (int64_t)st->tx_bytes);
	jv_set_int(o, "rx_bytes", (int64_t)st->rx_bytes);
	jv_set_int(o, "lost", (int64_t)st->rx_lost);
	jv_set_int(o, "late", (int64_t)st->rx_late);
	jv_set_int(o, "duplicate", (int64_t)st->rx_dup);
	jv_set_int(o, "auth_failures", (int64_t)st->srtp_auth_fail);
	jv_set_int(o, "clear_refused", (int64_t)st->rx_clear_refused);
	jv_set_int(o, "foreign", (int64_t)st->rx_foreign);
	jv_set_num(o, "jitter_ms", st->jitter_us / 1e3);
	jv_set_int(o, "buffer_ms", st->buffer_ms);
	jv_set_int(o, "ptime_ms", st->ptime_ms);
	if (st->first_rx_us >= 0)
		jv_set_num(o, "first_rx_ms", (double)st->first_rx_us / 1e3);
	else
		jv_set(o, "first_rx_ms", jv_null());
	jv_set_bool(o, "sending", st->sending);
	jv_set_bool(o, "receiving", st->receiving);
	jv_set_num(o, "level_tx_db", st->level_tx_db);
	jv_set_num(o, "level_rx_db", st->level_rx_db);
	return o;
}

/* One call of the status object. */
static struct jv *
call_json(const struct call *c)
{
	static const char *const names[] = { "calling", "ringing",
		"established", "held" };
	int64_t from = c->established_us;
	struct jv *o = jv_obj();
	struct media_stats st;

	jv_set_str(o, "id", c->id);
	jv_set_str(o, "account", c->account);
	jv_set_str(o, "direction", c->incoming ? "in" : "out");
	jv_set_str(o, "state", names[c->state]);
	jv_set_str(o, "local", c->sip != NULL ? sip_call_local(c->sip) : "");
	jv_set_str(
	    o, "remote", c->sip != NULL ? sip_call_remote(c->sip) : c->uri);
	jv_set_str(o, "remote_name",
	    c->sip != NULL ? sip_call_remote_name(c->sip) : "");
	jv_set_str(o, "call_id", c->sip != NULL ? sip_call_id(c->sip) : "");
	jv_set_num(o, "duration_s",
	    from != 0 ? (double)(clock_mono_us() - from) / 1e6 : 0);
	jv_set_str(o, "signalling", call_signalling(c));
	jv_set_bool(o, "speaker",
	    c->ua->conf.single ? c->has_speaker : c->established_us != 0);
	if (c->media == NULL || from == 0) {
		jv_set(o, "media", jv_null());
		jv_set_str(o, "security", "none");
		return o;
	}
	media_sess_get_stats(c->media, &st);
	jv_set(o, "media", ua_stats_json(&st));
	jv_set_str(o, "security", st.suite[0] != '\0' ? "srtp" : "clear");
	return o;
}

void
ua_json(const struct ua *ua, const char *after, struct jv *status)
{
	struct jv *arr = jv_arr();
	const struct call *c;
	int64_t from = 0;

	/* Ids rise in the order of the list: c1, c2 .. */
	if (after != NULL && after[0] == 'c')
		ignore_err(str_int(slice_of(after + 1), 0, UINT32_MAX, &from),
		    "no id of ours: from the first");
	TAILQ_FOREACH (c, &ua->calls, link) {
		if (c->number <= from)
			continue;
		if (jv_len(arr) == UA_STATUS_CALLS)
			break;
		jv_add(arr, call_json(c));
	}
	jv_set(status, "calls", arr);
	jv_set_int(status, "num_calls", (int64_t)ua->load.num);
	jv_set_bool(status, "more_calls", c != NULL);
}
