# only: preload
# cachekit.save_on_shutdown: what a clean shutdown has saved is there after the
# start, as exact as before; whatever else is found in its place is not used.

use strict;
use warnings;

use File::Copy qw(copy);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $on = "cachekit.save_on_shutdown = on\n";
my $node = new_node('save', $on . "restart_after_crash = on\n");
my $log_from = 0;

my $sum = 'SELECT sum(v) AS s FROM t';
my $by_key = 'SELECT v FROM k WHERE c = 7';
my @prepared = map { "SELECT v FROM p$_" } 1 .. 6;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub file { return ($_[0] // $node)->data_dir . '/cachekit.saved'; }
sub conf { return $node->append_conf('postgresql.conf', "$_[0]\n"); }

# What the node has logged since the last start.
sub logged { return slurp_file($node->logfile, $log_from); }

# save_on_shutdown, as the postmaster has it
sub set
{
	conf("cachekit.save_on_shutdown = $_[0]");
	$node->reload;
	return $node->poll_query_until('postgres', 'SHOW cachekit.save_on_shutdown', $_[0]);
}

sub start
{
	$log_from = -s $node->logfile // 0;
	$node->start;
	return;
}

sub restart
{
	$node->stop;
	start();
	return;
}

# ignored(REASON, LABEL): started just now with a file that can not be used
sub ignored
{
	my ($reason, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(logged(), qr/does not use the cache saved in file "cachekit.saved": $reason/,
		"$label: said in the log");
	is(sql('SELECT sum(loaded) FROM cachekit_stats'), 0, "$label: nothing is loaded");
	ok(!-e file(), "$label: the file is gone");
	answer_is($node, $sum, undef, "$label: the answer");
	sound($node, $label);
	return;
}

# It is loaded, and the answer comes from there.
sub loaded
{
	my ($label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(logged(), qr/cachekit loaded \d+ of \d+ saved entries/, "$label: loaded");
	is_hit($node, $node, $sum, undef, $label);
	sound($node, $label);
	return;
}

# Entries of all that is asked for below.
sub fill
{
	sql(join ";\n", map { compared($_) } $sum, $by_key, @prepared);
	return;
}

$node->start;
sql(q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t AS SELECT g AS id, g AS v FROM generate_series(1, 100) g;
	CREATE TABLE k AS SELECT g AS id, g % 10 AS c, g AS v FROM generate_series(1, 100) g;
	SELECT cache_track('t'), cache_track('k', 'c');
	CREATE TYPE pair AS (a int, b text);
	DO $$ BEGIN FOR i IN 1 .. 6 LOOP
		EXECUTE format('CREATE TABLE p%s AS SELECT 1 AS v', i);
		EXECUTE format('SELECT cache_track(%L)', 'p' || i);
	END LOOP; END $$;
});

# ---------------- a clean restart ----------------

fill();
sql($_) for compared('SELECT 1 AS one FROM t LIMIT 1'),
	q{SELECT cache_set('plain', 'a')},
	q{SELECT cache_set('with ttl', 'b', ttl => '1 hour')},
	q{SELECT cache_set('short', 'c', ttl => '1 ms')},
	q{SELECT cache_set('tagged', 'd', tags => '{red}')},
	q{SELECT cache_set('tagged too', 'e', tags => '{blue}')},
	q{SELECT cache_set('large', repeat('x', 300000))},
	q{SELECT cache_set('null', NULL)},
	q{SELECT cache_set('pair', (1, 'one')::pair)},
	q{SELECT cache_invalidate_tag('green')};
$node->stop;
ok(-s file(), 'there is a file when the server is down');
like(logged(), qr/cachekit saved \d+ entries/, 'the log says so');
start();
ok(!-e file(), 'and none when it is up');
is(sql('SELECT hits, misses, fills, loaded = entries, loaded > 10 FROM cachekit_stats'),
	'0|0|0|t|t', 'entries are loaded');
is(sql($_), sql($_ =~ s/cached_query_json\(\$q\$(.*)\$q\$\)/(SELECT jsonb_agg(to_jsonb(q)) FROM ($1) q)/r), "the same: $_")
  for map { "SELECT cached_query_json(\$q\$$_\$q\$)" } $sum, $by_key, @prepared;
is(sql('SELECT hits, misses, fills FROM cachekit_stats'), '8|0|0', 'all are hits');
is(sql(q{SELECT cache_get('plain'), cache_get('with ttl'), cache_get('short'), cache_get('tagged'),
	length(cache_get('large')), cache_exists('null'), cache_get('null'), cache_get('pair', NULL::pair)}),
	'a|b||d|300000|t||(1,one)', 'keys and values');
is(sql(q{SELECT cache_ttl('with ttl') BETWEEN '50 minutes' AND '1 hour', cache_ttl('plain')}), 't|',
	'times to live');
is(sql(q{SELECT count(*) FROM cachekit_entries WHERE kind = 'query' AND hits > 0 AND age > '0'}), 8,
	'what is known of entries');
sound($node, 'restart');

sql(q{SELECT cache_invalidate_tag('red')});
is(sql(q{SELECT cache_get('tagged'), cache_get('tagged too')}), '|e', 'a tag is invalidated');
sql('UPDATE t SET v = v + 1 WHERE id = 1');
answer_is($node, $sum, '[{"s": 5051}]', 'a write after the restart');
sql('UPDATE k SET v = v + 1 WHERE c = 8');
is_hit($node, $node, $by_key, undef, 'a write of another key');
sql('UPDATE k SET v = v + 1 WHERE c = 7');
answer_is($node, $by_key, undef, 'a write of the key');

# ---------------- and another, after writes ----------------

my $rr = $node->background_psql('postgres', on_error_stop => 1);
$rr->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$rr->query_safe(compared($sum));
sql('UPDATE t SET v = v + 1 WHERE id = 1');
$rr->query_safe(compared($sum));
$rr->quit;
sql('UPDATE k SET v = 0 WHERE c = 7');
restart();
answer_is($node, $sum, '[{"s": 5052}]', 'committed just before the shutdown');
answer_is($node, $by_key, undef, 'committed just before the shutdown, a key');
is(sql(q{SELECT cache_get('plain'), cache_get('tagged'), cache_get('tagged too')}), 'a||e',
	'keys after two restarts');

# more commits than a cell remembers
sql('UPDATE t SET v = v + 1 WHERE id = 2') for 1 .. 12;
answer_is($node, $sum, '[{"s": 5064}]', 'many writes');
restart();
loaded('many writes');

# ---------------- prepared transactions ----------------

sub prepare
{
	my ($n, $more) = @_;

	sql("BEGIN; UPDATE p$n SET v = v + 1;" . ($more // '') . "PREPARE TRANSACTION 'x$n'");
	return;
}

fill();
prepare($_) for 1 .. 4;
prepare(5, 'UPDATE k SET v = v + 1 WHERE c = 7;');
restart();
sql(q{COMMIT PREPARED 'x1'});
answer_is($node, $prepared[0], '[{"v": 2}]', 'committed before the first read');
is_hit($node, $node, $prepared[1], '[{"v": 1}]', 'prepared makes nothing stale');
is_hit($node, $node, $by_key, undef, 'prepared makes no key stale');
$rr = $node->background_psql('postgres', on_error_stop => 1);
$rr->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
is_hit($node, $rr, $prepared[1], '[{"v": 1}]', 'a snapshot from before the commit');
sql(q{COMMIT PREPARED 'x2'});
answer_is($node, $prepared[1], '[{"v": 2}]', 'committed between reads');
answer_is($rr, $prepared[1], '[{"v": 1}]', 'an old snapshot after the commit');
$rr->query_safe('COMMIT');
answer_is($rr, $prepared[1], '[{"v": 2}]', 'a new snapshot of the same session');
sql(q{ROLLBACK PREPARED 'x3'});
is_hit($node, $node, $prepared[2], '[{"v": 1}]', 'rolled back before the first read');
is_hit($node, $node, $prepared[3], '[{"v": 1}]', 'before it is rolled back');
sql(q{ROLLBACK PREPARED 'x4'});
is_hit($node, $node, $prepared[3], '[{"v": 1}]', 'rolled back between reads');
sql(q{COMMIT PREPARED 'x5'});
answer_is($node, $by_key, undef, 'a key committed between reads');
answer_is($node, $prepared[4], '[{"v": 2}]', 'committed with it');
$rr->quit;

# over two restarts; and prepared before the memory was made, hence suspects
fill();
prepare(6);
restart();
restart();
is_hit($node, $node, $prepared[5], '[{"v": 1}]', 'prepared, two restarts');
sql(q{COMMIT PREPARED 'x6'});
answer_is($node, $prepared[5], '[{"v": 2}]', 'committed after two restarts');
prepare($_) for 1 .. 3;
$node->stop;
unlink file();
start();
fill();
take_xid($node);
fill();
is_hit($node, $node, $prepared[0], '[{"v": 2}]', 'a suspect');
restart();
sql(q{COMMIT PREPARED 'x1'});
answer_is($node, $prepared[0], '[{"v": 3}]', 'a suspect, committed before the first read');
answer_is($node, $prepared[1], '[{"v": 2}]', 'a suspect, before it commits');
sql(q{COMMIT PREPARED 'x2'});
answer_is($node, $prepared[1], '[{"v": 3}]', 'a suspect, committed between reads');
sql(q{ROLLBACK PREPARED 'x3'});
answer_is($node, $prepared[2], undef, 'a suspect, rolled back');
fill();
sound($node, 'prepared');

# ---------------- the file is not of this state of the cluster ----------------

# put_back(SUB): what was saved is found at a later start
sub put_back
{
	my ($between, $mode) = @_;

	fill();
	$node->stop;
	copy(file(), file() . '.old') or die;
	$between->();
	$node->stop($mode) if $mode;
	rename(file() . '.old', file()) or die;
	start();
	return;
}
my $write = sub { sql('UPDATE t SET v = v + 1 WHERE id = 3') };

put_back(sub { start(); $write->() }, 'immediate');
ignored('the cluster was not shut down cleanly', 'a crash');
put_back(sub { start(); $write->() }, 'fast');
ignored('the cluster was started or changed since', 'an older file');
put_back(sub { start() }, 'fast');
ignored('the cluster was started or changed since', 'an older file, nothing written');
put_back(sub {
	conf(q{shared_preload_libraries = ''});
	start();
	sql('ALTER TABLE t DISABLE TRIGGER ALL; UPDATE t SET v = v + 1; ALTER TABLE t ENABLE ALWAYS TRIGGER cachekit_track');
	$write->();
	$node->stop;
	is(slurp_file(file()), slurp_file(file() . '.old'), 'without the library nothing is saved');
	conf(q{shared_preload_libraries = 'cachekit'})});
ignored('the cluster was started or changed since', 'another server without the library');
put_back(sub {
	my ($in, $out, $err) = ("UPDATE t SET v = v + 1\n");

	IPC::Run::run([ 'postgres', '--single', '-F', '-D', $node->data_dir, 'postgres' ],
		'<', \$in, '>', \$out, '2>', \$err) or die $err;
	is(slurp_file(file()), slurp_file(file() . '.old'), 'a single-user server saves nothing')});
ignored('the cluster was started or changed since', 'a single-user server');

# A crash leaves none.
fill();
restart();
loaded('before a crash');
$write->();
$node->stop('immediate');
ok(!-e file(), 'a crash saves nothing');
start();
unlike(logged(), qr/saved/, 'a crash: nothing to load');
answer_is($node, $sum, undef, 'a crash');

# A backend crashes, the server lives on with memory made anew.
fill();
my $pid = sql('SELECT pg_backend_pid()');
my $victim = $node->background_psql('postgres', on_error_stop => 0);
$pid = $victim->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $pid;
eval { $victim->quit };
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM cachekit_entries') or die;
is(sql('SELECT sum(loaded) FROM cachekit_stats'), 0, 'nothing is loaded again');
$write->();
fill();
restart();
loaded('after the crash of a backend');

# ---------------- the file is damaged ----------------

sub change
{
	my ($where, $change) = @_;
	my $data = slurp_file(file());

	substr($data, $where < 0 ? length($data) + $where : $where, 1) ^= $change;
	open my $out, '>:raw', file() or die;
	print $out $data;
	close $out;
	return;
}

# As the library would write it: the last bytes are missing, the checksum is right.
sub shorten
{
	my $data = substr(slurp_file(file()), 0, -204);
	my $crc = 0xffffffff;
	my @table = map {
		my $c = $_;
		$c = ($c >> 1) ^ ($c & 1 ? 0x82f63b78 : 0) for 1 .. 8;
		$c
	} 0 .. 255;

	$crc = ($crc >> 8) ^ $table[($crc ^ $_) & 255] for unpack 'C*', $data;
	open my $out, '>:raw', file() or die;
	print $out $data, pack('L', $crc ^ 0xffffffff);
	close $out;
	return;
}

for my $damage (
	[ 'the first byte', sub { change(0, "\x01") }, 'it is not a saved cache' ],
	[ 'another library', sub { change(8, "\x01") }, 'it was saved by another build of cachekit' ],
	[ 'another server', sub { change(16, "\x01") }, 'it was saved by another version of PostgreSQL' ],
	[ 'other collations', sub { change(80, "\x01") }, 'it was saved with other versions of libc or ICU' ],
	[ 'a byte of the birth record', sub { change(1200, "\x10") }, '.*' ],
	[ 'a byte in the middle', sub { change((-s file()) / 2, "\x80") }, 'it is damaged' ],
	[ 'the last byte', sub { change(-1, "\x40") }, 'it is damaged' ],
	[ 'truncated', sub { truncate(file(), (-s file()) - 1000) }, 'it is damaged' ],
	[ 'too short by itself', \&shorten, 'it is damaged' ],
	[ 'empty', sub { truncate(file(), 0) }, 'it is not a saved cache' ],
	[ 'more at the end', sub { append_to_file(file(), 'more') }, 'it is damaged' ])
{
	my ($label, $do, $reason) = @$damage;

	fill();
	$node->stop;
	$do->();
	start();
	ignored($reason, $label);
}

# It can not be read, or written.
fill();
$node->stop;
chmod 0, file();
start();
like(logged(), qr/could not open file "cachekit.saved": Permission denied/, 'unreadable: said');
ok(!-e file(), 'unreadable: gone');
answer_is($node, $sum, undef, 'unreadable');
fill();
mkdir file() . '.tmp';
$node->stop;
like(logged(), qr/could not save the cache in file "cachekit.saved": Is a directory/, 'unwritable: said');
ok(!-e file(), 'unwritable: no file');
rmdir file() . '.tmp';
start();
answer_is($node, $sum, undef, 'unwritable');

# The disk is full.
fill();
symlink('/dev/full', file() . '.tmp') or die "symlink: $!";
$node->stop;
like(logged(), qr/could not save the cache in file "cachekit.saved": No space left on device/,
	'disk full: said');
ok(!-e file() && !-l file() . '.tmp', 'disk full: no file, nor a part of one');
start();
is(sql(q{SELECT sum(loaded) FROM cachekit_stats}), 0, 'disk full: nothing is loaded');
answer_is($node, $sum, undef, 'disk full');

# ---------------- settings ----------------

fill();
sql(q{SELECT cache_set('plain', 'a'), cache_set('tagged too', 'e', tags => '{blue}')});
$node->stop;
conf(q{cachekit.memory = '32MB'});
start();
like(logged(), qr/cachekit loaded \d+ of \d+ saved entries.*depend on cells, whose number/s, 'other memory: said');
is(sql(q{SELECT cache_get('plain'), cache_get('tagged too')}), 'a|', 'other memory: keys without tags');
is(sql(q{SELECT count(*) FROM cachekit_entries WHERE kind = 'query'}), 0, 'other memory: no results');
answer_is($node, $sum, undef, 'other memory');
$write->();
answer_is($node, $sum, undef, 'other memory, a write');
sound($node, 'other memory');
fill();
conf(q{cachekit.memory = '64MB'});
restart();
is(sql(q{SELECT count(*) FROM cachekit_entries WHERE kind = 'query'}), 0, 'more memory: no results');
is(sql(q{SELECT cache_get('plain')}), 'a', 'more memory: keys without tags');
$write->();
answer_is($node, $sum, undef, 'more memory');

fill();
set('off');
$node->stop;
ok(!-e file(), 'off: no file');
conf('cachekit.save_on_shutdown = on');
start();
fill();
$node->stop;
ok(-e file(), 'on: a file');
conf('cachekit.save_on_shutdown = off');
start();
ok(!-e file(), 'off at the start: the file is gone');
is(sql(q{SELECT sum(loaded) FROM cachekit_stats}), 0, 'off at the start: nothing is loaded');
set('on');
fill();
restart();
loaded('on by a reload');

# A table that nobody watches, in a server between two that watch all.
conf('cachekit.track = all');
restart();
ignored('cachekit.track was different', 'track = all');
sql('CREATE TABLE free AS SELECT 1 AS v');
sql(compared('SELECT v FROM free')) for 1 .. 2;
conf('cachekit.track = triggers');
restart();
ignored('cachekit.track was different', 'track = triggers');
sql('UPDATE free SET v = 2');
conf('cachekit.track = all');
restart();
answer_is($node, 'SELECT v FROM free', '[{"v": 2}]', 'not watched for a while');
fill();
sql(compared('SELECT v FROM free'));
restart();
loaded('track = all');
is_hit($node, $node, 'SELECT v FROM free', '[{"v": 2}]', 'track = all, no triggers');
sql('UPDATE free SET v = 3');
answer_is($node, 'SELECT v FROM free', '[{"v": 3}]', 'track = all, a write');
sql(q{BEGIN; UPDATE free SET v = 4; PREPARE TRANSACTION 'free'});
restart();
is_hit($node, $node, 'SELECT v FROM free', '[{"v": 3}]', 'track = all, prepared');
sql(q{COMMIT PREPARED 'free'});
answer_is($node, 'SELECT v FROM free', '[{"v": 4}]', 'track = all, committed');
conf('cachekit.track = triggers');
restart();

# Times go on while the server is down.
if (sql(q{LOAD 'cachekit'; SELECT count(*) FROM pg_settings WHERE name = 'cachekit.debug_clock_shift'}) > 0)
{
	my $untracked = q{cached_query_json('SELECT v FROM free', ttl => '%s')};

	sql('SELECT ' . sprintf($untracked, '5 hours'));
	sql(q{SELECT cache_set('one hour', 'x', ttl => '1 hour'), cache_set('for ever', 'x')});
	conf('cachekit.debug_clock_shift = 3h');
	restart();
	like(logged(), qr/Not loaded: [1-9]\d* expired, 0 for which/, 'expired while the server was down');
	is(sql(q{SELECT cache_get('one hour'), cache_get('for ever')}), '|x', 'expired, and not');
	is(sql(q{SELECT bool_and(age BETWEEN '02:59' AND '03:30') FROM cachekit_entries
		WHERE kind = 'query' OR key = 'for ever'}), 't', 'age');
	sql('UPDATE free SET v = 5');
	like(sql('SELECT ' . sprintf($untracked, '4 hours')), qr/"v": 4/, 'young enough for the caller');
	like(sql('SELECT ' . sprintf($untracked, '2 hours')), qr/"v": 5/, 'too old for the caller');
	conf('cachekit.debug_clock_shift = 0');
	restart();
}

# ---------------- other clusters ----------------

# copies of one stopped cluster that live apart
fill();
$node->stop;
$node->backup_fs_cold('cold');
sub twin
{
	my ($name, %params) = @_;
	my $twin = PostgreSQL::Test::Cluster->new($name);

	$twin->init_from_backup($node, 'cold', %params);
	return $twin;
}
my $twin = twin('twin');
ok(-e file($twin), 'a copy has the file');
start();
loaded('the original');
$twin->start;
is($twin->safe_psql('postgres', 'SELECT loaded > 0 FROM cachekit_stats'), 't', 'a copy loads it');
is_hit($twin, $twin, $sum, undef, 'a copy');
$twin->safe_psql('postgres', 'UPDATE t SET v = v + 1000');
$twin->safe_psql('postgres', compared($sum));
$twin->stop;
$write->();
fill();
$node->stop;
copy(file($twin), file()) or die;
start();
ignored('the cluster was started or changed since', 'the file of a copy');

my $stranger = new_node('stranger', $on);
$stranger->start;
$stranger->safe_psql('postgres', q{CREATE EXTENSION cachekit; SELECT cache_set('a', 'b')});
$stranger->stop;
fill();
$node->stop;
copy(file($stranger), file()) or die;
start();
ignored('the cluster was started or changed since', 'the file of a stranger');

# A copy of a stopped cluster, file and all, becomes a standby, and is promoted.
$node->append_conf('postgresql.conf', "max_wal_senders = 4\nwal_level = replica\n");
restart();
fill();
$node->stop;
$node->backup_fs_cold('cold2');
start();
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'cold2', has_streaming => 1);
ok(-e file($standby), 'the standby begins with a file');
$write->();
$standby->start;
$node->wait_for_catchup($standby);
like(slurp_file($standby->logfile), qr/does not use .*: the server is going to recover/, 'a standby does not use it');
is($standby->safe_psql('postgres', q{SELECT cache_set('x', 'y'), cache_get('plain')}), 't|', 'keys of a standby are its own');
$standby->promote;
answer_is($standby, $sum, undef, 'promoted');
is($standby->safe_psql('postgres', $sum), sql($sum), 'promoted, with all writes');
answer_is($standby, $sum, undef, 'promoted, a hit');
$standby->stop;
ok(-e file($standby), 'promoted, it saves');
$standby->start;
is_hit($standby, $standby, $sum, undef, 'and loads');
$standby->stop;

# ---------------- a large cache ----------------

sql(q{SELECT sum(length(cache_set('big:' || g, repeat('x', 100 + g % 3000))::text)) FROM generate_series(1, 60000) g});
my $some = sql(q{SELECT count(*) FROM generate_series(59900, 60000) g WHERE cache_exists('big:' || g)});
my $entries = sql('SELECT entries FROM cachekit_stats');
sql($sum) for 1 .. 3;
fill();
fill();
restart();
cmp_ok(sql('SELECT loaded FROM cachekit_stats'), '>', $entries * 0.98, "nearly all of $entries are loaded");
is(sql(q{SELECT count(*) FROM generate_series(59900, 60000) g WHERE cache_exists('big:' || g)}), $some, 'the latest are');
is(sql(q{SELECT count(*) FROM generate_series(1, 60000) g
	WHERE length(cache_get('big:' || g)) <> 100 + g % 3000}), 0, 'with their values');
loaded('a large cache');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|leak:/, 'nothing in the log');
$node->stop;

done_testing();
