# Rules and advice with pg_stat_statements, loaded before cachekit and after
# it; rules through restart, dump and restore, on a standby; who may see what.
# Sets shared_preload_libraries itself: only: preload

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $tables = q{
	CREATE TABLE orders AS SELECT i AS id, i % 100 AS customer, i % 97 AS amount
	  FROM generate_series(1, 20000) i;
	CREATE TABLE parts (id int, v int) PARTITION BY RANGE (id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
	CREATE TABLE users (id int, name text);
	CREATE TABLE kin (id int);
	CREATE TABLE kin_child () INHERITS (kin);
};

sub server
{
	my ($name, $libraries) = @_;
	my $node = new_node($name, undef, allows_streaming => 1);

	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$libraries'\n");
	$node->start;
	$node->safe_psql('postgres', "CREATE EXTENSION cachekit; $tables");
	return $node;
}

# The statements that advice is asked for, and as many writes as said.
sub work
{
	my ($node, $n, $writes) = @_;
	my $sql = "SELECT public.cache_flush();\n";

	$sql .= "SELECT sum(amount) FROM orders;\n"
	  . "SELECT sum(amount) FROM orders WHERE customer = $_;\n"
	  . "SELECT now(), count(*) FROM orders;\n"
	  . "SELECT random(), count(*) FROM orders;\n"
	  . "SELECT count(*) FROM parts WHERE id < 5;\n"
	  . "SELECT count(*) FROM orders WHERE id < $_ AND date '2020-01-01' < '2021-01-01'::date;\n"
	  . "SELECT count(*) FROM pg_class;\n"
	  for 1 .. $n;
	$sql .= "UPDATE orders SET amount = amount + 1 WHERE id = $_;\n"
	  . "INSERT INTO parts VALUES ($_, $_);\n"
	  for 1 .. $writes;
	$node->safe_psql('postgres', $sql);
	return;
}

# advice(NODE, LIKE, COLUMNS...): of the statement whose text is like that
sub advice
{
	my ($node, $like, @columns) = @_;
	my $list = join(', ', @columns);

	return $node->safe_psql('postgres',
		"SELECT $list FROM cachekit_advice WHERE query ILIKE '$like'");
}

sub id_of
{
	my ($node, $like) = @_;

	return advice($node, $like, 'queryid');
}

sub with_libraries
{
	my ($name, $libraries) = @_;
	my $node = server($name, $libraries);
	my $id;

	# not there yet: no row, and no message either
	my ($ret, $out, $err) = $node->psql('postgres',
		'SELECT * FROM cachekit_advice; SELECT * FROM cachekit_rules');
	is("$ret $out$err", '0 ', "$name: no pg_stat_statements, no advice");

	$node->safe_psql('postgres',
		'CREATE SCHEMA "S t"; CREATE EXTENSION pg_stat_statements SCHEMA "S t";'
		  . 'SELECT "S t".pg_stat_statements_reset(), pg_stat_reset()');
	work($node, 25, 5);

	# The statistics of tables come in a moment after a session's end.
	$node->poll_query_until('postgres',
		q{SELECT n_tup_upd = 5 FROM pg_stat_user_tables WHERE relname = 'orders'});
	is(advice($node, 'select sum(amount) from orders',
			qw(tables cacheable reason advice ruled calls)),
		'{orders}|f|table public.orders is not tracked|track|f|25',
		"$name: a table to track");
	# Reads and writes 5 : 1, and one of 25 is the first: 0.96 * 5 / 6, nearly
	# (the two periods did not begin at quite the same time).
	my $ratio = advice($node, 'select sum(amount) from orders', 'expected_hit_ratio');
	cmp_ok(abs($ratio - 0.8), '<', 0.05, "$name: expected hit ratio $ratio");
	is(advice($node, 'select sum(amount) from orders',
			'abs(expected_saving_ms - total_exec_ms * expected_hit_ratio) <= 0.25 * expected_hit_ratio + 0.1'),
		't', "$name: expected saving");
	# 5 sets of arguments: each is read once for each write; keyed, 5 times.
	is(advice($node, 'select sum(amount) from orders where customer = $1',
			'keyed_hit_ratio > expected_hit_ratio + 0.1', 'writes_per_call > 0.1',
			q{suggestion LIKE 'SELECT cache_track(''orders'', ''customer''); SELECT cache_rule_create(%);'}),
		't|t|t', "$name: a key would help");
	is($node->safe_psql('postgres', "BEGIN; SELECT cache_track('orders', 'customer'); "
			. q{SELECT keyed_hit_ratio = expected_hit_ratio, suggestion LIKE 'SELECT cache_rule_create(%' FROM cachekit_advice WHERE query ILIKE 'select sum(amount) from orders where%'; ROLLBACK}),
		"\nt|t", "$name: it is a key already");
	is($node->safe_psql('postgres', q{SELECT key_columns FROM unnest(ARRAY[
			'SELECT FROM orders o JOIN orders p USING (id) WHERE o.id = $1',
			'SELECT FROM orders WHERE id > $1', 'SELECT FROM orders WHERE id = $1 OR id = $2',
			'SELECT FROM orders o, users u WHERE u.name = $2 AND $1 = o.id',
			'SELECT FROM kin WHERE id = $1', 'SELECT FROM parts WHERE id = $1']) q,
			cachekit_stat_text(q)}),
		"{NULL}\n{NULL}\n{NULL}\n{id,name}\n{NULL}\n{id}", "$name: columns that may be keys");
	is(advice($node, 'select now(), count(*) from orders', 'advice',
			q{suggestion LIKE 'SELECT cache_rule_create(%, ttl => ''1 minute'');'}),
		'ttl|t', "$name: a ttl");
	is(advice($node, 'select random(), count(*) from orders',
			'advice', 'reason', 'expected_saving_ms', 'suggestion IS NULL'),
		'none|function random() is volatile; table public.orders is not tracked|0.000|t',
		"$name: never");
	is(advice($node, 'select count(*) from parts%', 'tables', 'advice', 'writes_per_call > 0.1'),
		'{parts}|track|t', "$name: writes to a partition");
	like(advice($node, 'select count(*) from orders where id%date $_ < $_::date', 'reason'),
		qr/^table public.orders is not tracked$/, "$name: a typed literal");
	is(advice($node, 'select count(*) from pg_class', 'advice'), 'none', "$name: a catalog");
	is(advice($node, 'update%', 'count(*)'), '0', "$name: only queries");

	# Do what it says.
	$node->safe_psql('postgres', advice($node, 'select sum(amount) from orders', 'suggestion'));
	is(advice($node, 'select sum(amount) from orders', qw(cacheable ruled advice), 'suggestion IS NULL'),
		't|t|rule|t', "$name: done");
	$id = id_of($node, 'select sum(amount) from orders');
	is($node->safe_psql('postgres', 'SELECT queryid, state, query, calls, mean_exec_ms > 0 FROM cachekit_rules'),
		"$id|active|SELECT sum(amount) FROM orders|25|t", "$name: the rule");

	# Who may not see a statement, nor use pg_stat_statements
	$node->safe_psql('postgres', q{
		CREATE ROLE admin LOGIN; CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats;
		GRANT EXECUTE ON FUNCTION cache_rule_create, cache_rule_drop TO admin;
	});
	is($node->safe_psql('postgres', 'SELECT count(*) FROM cachekit_advice',
			extra_params => [ '-U', 'reader' ]), '0', "$name: a schema out of bounds");
	$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA "S t" TO reader, admin');
	is($node->safe_psql('postgres', 'SELECT count(*) > 5 FROM cachekit_advice',
			extra_params => [ '-U', 'reader' ]), 't', "$name: who reads statistics");
	my $other = id_of($node, 'select now(), count(*) from orders');
	$node->safe_psql('postgres', "SELECT cache_rule_create($other, ttl => '5 s', tags => '{a}')",
		extra_params => [ '-U', 'admin' ]);
	is($node->safe_psql('postgres', "SELECT query IS NULL FROM cachekit_rule WHERE queryid = $other"),
		't', "$name: who makes a rule keeps no text that he may not read");
	is($node->safe_psql('postgres', "SELECT query FROM cachekit_rules WHERE queryid = $other"),
		'SELECT now(), count(*) FROM orders', "$name: but who may, sees it");
	return ($node, $id, $other);
}

# What survives
sub lasting
{
	my ($node, $id, $other) = @_;
	my $rules = "SELECT queryid, ttl, tags, enabled, state, query IS NULL FROM cachekit_rules ORDER BY ttl NULLS FIRST";
	my $expected = "$id|||t|active|f\n$other|00:00:05|{a}|t|active|";
	my $dump = $node->basedir . '/dump.sql';

	$node->restart;
	is($node->safe_psql('postgres', $rules), "${expected}f", 'after a restart');
	$node->command_ok([ 'pg_dump', '-f', $dump, 'postgres' ], 'dump');
	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, 'restored' ], 'restore');
	is($node->safe_psql('restored', $rules), "${expected}t", 'after dump and restore');
	is($node->safe_psql('restored', "SELECT query FROM cachekit_rules WHERE queryid = $id"),
		'SELECT sum(amount) FROM orders', 'with the text that it was made for');

	# a session that had no rule before the data came
	$node->safe_psql('postgres', 'CREATE DATABASE again');
	$node->safe_psql('again', 'CREATE EXTENSION cachekit; CREATE EXTENSION pg_stat_statements');
	my $session = $node->background_psql('again', on_error_stop => 1);
	is($session->query_safe("SELECT cachekit_stat_rule($id)"), 'inactive', 'no rule');
	$node->command_ok([ 'pg_dump', '-a', '--disable-triggers', '-t', 'cachekit_rule', '--extension=cachekit',
		'-f', $dump, 'postgres' ], 'dump of data');
	$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', $dump, 'again' ],
		'restored with triggers disabled');
	is($session->query_safe("SELECT cachekit_stat_rule($id)"), 'active', 'seen at once');
	$session->quit;

	# other sessions follow
	my $one = $node->background_psql('postgres', on_error_stop => 1);
	is($one->query_safe('SELECT cachekit_stat_rule(1)'), 'inactive', 'no such rule');
	$node->safe_psql('postgres', 'SELECT cache_rule_create(1)');
	is($one->query_safe('SELECT cachekit_stat_rule(1)'), 'active', 'made by another session');
	$one->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders');
	$node->safe_psql('postgres', 'SELECT cache_rule_drop(1)');
	is($one->query_safe('SELECT count(*) > 0 FROM users; SELECT cachekit_stat_rule(1)'),
		"t\ninactive", 'dropped, whatever the snapshot');
	$one->query_safe('COMMIT');

	# A rule that is committed while they are read is missed, but not for long.
	my $holder = $node->background_psql('postgres', on_error_stop => 1);
	$holder->query_safe('SELECT pg_advisory_lock(4711)');
	$one->query_safe(q{SET cachekit.debug_point = 'rules:4711'; SELECT cache_rule_create(3)});
	$one->query_until(qr/asked/, "\\echo asked\nSELECT 'read: ' || cachekit_stat_rule(1);\n");
	wait_blocked($node, 1);
	$node->safe_psql('postgres', 'SELECT cache_rule_create(1)');
	$holder->query_safe('SELECT pg_advisory_unlock(4711)');
	like($one->query_safe('SELECT 1'), qr/read: inactive/, 'a rule that came during the scan');
	is($one->query_safe('SELECT cachekit_stat_rule(1)'), 'active', 'is there afterwards');
	$one->query_safe('RESET cachekit.debug_point');
	$node->safe_psql('postgres', 'SELECT cache_rule_drop(1), cache_rule_drop(3)');
	$holder->quit;

	# two at once
	my $two = $node->background_psql('postgres', on_error_stop => 1);
	$one->query_safe('BEGIN; SELECT cache_rule_create(2)');
	$two->query_until(qr/begun/, "\\echo begun\nSELECT cache_rule_create(2, enabled => false);\n");
	$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM pg_locks WHERE NOT granted');
	$one->query_safe('COMMIT');
	$two->query_safe('SELECT 1');
	is($node->safe_psql('postgres', 'SELECT enabled FROM cachekit_rule WHERE queryid = 2'),
		'f', 'the later one counts');

	# A lock on the table stops nobody; what it hides has no effect.
	$one->query_safe('BEGIN; LOCK TABLE cachekit_rule');
	is($node->safe_psql('postgres',
			"SET statement_timeout = '10s'; SELECT cachekit_stat_rule($id)"),
		'inactive', 'locked: no rules');
	$one->query_safe('ROLLBACK');
	is($node->safe_psql('postgres', "SELECT cachekit_stat_rule($id)"), 'active', 'unlocked');
	$_->quit for $one, $two;

	# on a standby
	$node->backup('b');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'b', has_streaming => 1);
	$standby->start;
	my $reader = $standby->background_psql('postgres', on_error_stop => 1);
	is($reader->query_safe("SELECT cachekit_stat_rule($id)"), 'active', 'on a standby');
	$node->safe_psql('postgres', "SELECT cache_rule_drop($id)");
	$node->wait_for_catchup($standby);
	is($reader->query_safe("SELECT cachekit_stat_rule($id)"), 'inactive', 'dropped on the primary');
	my ($ret, $out, $err) = $standby->psql('postgres', "SELECT cache_rule_create($id)");
	like($err, qr/read-only transaction/, 'no rule is made on a standby');
	$reader->quit;
	$standby->stop;
	return;
}

# counted(NODE, SESSION, SQL): its answer, and how many hits it counted
sub counted
{
	my ($node, $session, $sql) = @_;
	my $before = counters($node)->{hits};
	my $answer = $session->query_safe($sql);

	return "$answer, " . (counters($node)->{hits} - $before);
}

# The identifier of a query, which has run.
sub identifier
{
	my ($node, $text) = @_;

	return $node->safe_psql('postgres',
		qq{SELECT queryid FROM "S t".pg_stat_statements WHERE query = \$q\$$text\$q\$});
}

# What rules do to queries
sub effects
{
	my ($node) = @_;
	my $q = 'SELECT count(*) FROM users WHERE id > 0';
	my $name = 'SELECT count(*) FROM users WHERE id > $1';
	my $session = $node->background_psql('postgres', on_error_stop => 1);
	my $add = 'INSERT INTO users VALUES (1, $$x$$)';

	# not tracked: by a ttl
	$node->safe_psql('postgres', "TRUNCATE users; $add");
	is(counted($node, $session, "$q; $q"), "1\n1, 0", 'without a rule');
	my $id = identifier($node, $name);
	$node->safe_psql('postgres', "SELECT cache_rule_create($id, ttl => '1 hour', tags => '{users}')");
	is(counted($node, $session, "$q; $q"), "1\n1, 1", 'with a ttl: the second is a hit');
	is(counted($node, $session, 'SELECT count(*) FROM users WHERE id > 1'), '0, 0',
		'other constants, another entry');
	$node->safe_psql('postgres', $add);
	is(counted($node, $session, $q), '1, 1', 'as old as the ttl allows');
	is(counted($node, $session, "/*+ nocache */ $q"), '2, 0', 'a hint has the last word');
	is(counted($node, $session, "BEGIN ISOLATION LEVEL SERIALIZABLE; $q; COMMIT"), '2, 0',
		'not under SERIALIZABLE');
	is(counted($node, $session, "SET cachekit.mode = off; $q; RESET cachekit.mode"), '2, 0',
		'not in mode off');
	like($session->query_safe("EXPLAIN (COSTS OFF) $q"), qr/CachedResult/, 'EXPLAIN');
	$session->query_safe(q{SELECT cache_invalidate_tag('users')});
	is(counted($node, $session, $q), '2, 0', 'its tag was invalidated');
	$node->safe_psql('postgres', $add);
	is(counted($node, $session, $q), '2, 1', 'stored again');
	$node->safe_psql('postgres', "SELECT cache_rule_create($id, ttl => '1 hour', enabled => false)");
	is(counted($node, $session, $q), '3, 0', 'disabled');
	$node->safe_psql('postgres', "SELECT cache_rule_create($id, ttl => '1 hour', tags => '{users}')");
	is(counted($node, $session, $q), '2, 1', 'enabled again');
	$node->safe_psql('postgres', "SELECT cache_rule_drop($id)");
	is(counted($node, $session, $q), '3, 0', 'dropped');

	# not tracked, and no ttl: it runs
	$node->safe_psql('postgres', "SELECT cache_rule_create($id)");
	is(counted($node, $session, "$q; $q"), "3\n3, 0", 'not tracked, no ttl');

	# tracked: exact
	$node->safe_psql('postgres', q{SELECT cache_track('users')});
	$session->query_safe("$_ SELECT max(id), min(id) FROM users")
	  for ('/*+ cachekit */', '/*+ cachekit */', "-- *\n /*+ cachekit */ /* ** */");
	is($node->safe_psql('postgres',
			q{SELECT hits + misses, misses > 0 FROM cachekit_advice WHERE query LIKE '%max(id), min(id)%'}),
		'3|t', 'advice knows how often the cache answered');
	$session->query_safe("/*+ cachekit */ SELECT max(name) FROM users WHERE id < $_") for 5, 6, 5;
	is(advice($node, '%select max(name) from users where id < $1', 'hits', 'misses'), '1|2',
		'whatever the constants were');
	$session->query_safe(q{SET compute_query_id = off});
	$session->query_safe(q{/*+ cachekit */ SELECT min(name) FROM users}) for 1 .. 2;
	$session->query_safe(q{RESET compute_query_id});
	$session->query_safe(q{SELECT min(name) FROM users});
	is(advice($node, 'select min(name) from users', 'hits', 'misses'), '1|1',
		'by text, where no identifiers are computed');
	is(counted($node, $session, "$q; $q"), "3\n3, 1", 'tracked');
	$node->safe_psql('postgres', $add);
	is(counted($node, $session, "$q; $q"), "4\n4, 1", 'and exact');
	is(counted($node, $session, "BEGIN; $add; $q; ROLLBACK; $q"), "5\n4, 1", 'own writes');

	# plans that are kept: made anew when the rules change
	$session->query_safe("SELECT cache_rule_drop($id)");
	$session->query_safe('SET plan_cache_mode = force_generic_plan');
	$session->query_safe("PREPARE p(int) AS $name; EXECUTE p(0); EXECUTE p(0)");
	is(counted($node, $session, 'EXECUTE p(0); EXECUTE p(0)'), "4\n4, 0", 'a kept plan');
	$id = identifier($node, "PREPARE p(int) AS $name") || identifier($node, $name);
	$node->safe_psql('postgres', "SELECT cache_rule_create($id)");
	is(counted($node, $session, 'EXECUTE p(0); EXECUTE p(0)'), "4\n4, 1", 'a rule comes');
	$node->safe_psql('postgres', "SELECT cache_rule_drop($id)");
	is(counted($node, $session, 'EXECUTE p(0); EXECUTE p(0)'), "4\n4, 0", 'and goes');

	# inside of functions
	$session->query_safe('CREATE FUNCTION f() RETURNS SETOF int LANGUAGE plpgsql AS '
		  . '$$ BEGIN RETURN QUERY SELECT max(id) + 1000 FROM users; END $$; '
		  . 'SET pg_stat_statements.track = $$all$$; SELECT f()');
	$id = $node->safe_psql('postgres',
		q{SELECT queryid FROM "S t".pg_stat_statements WHERE query LIKE 'SELECT max(id) + $1%' AND NOT toplevel});
	$node->safe_psql('postgres', "SELECT cache_rule_create($id)");
	is(counted($node, $session, 'SELECT f(); SELECT f(); SELECT f()'), "1001\n1001\n1001, 2",
		'in a function');
	$node->safe_psql('postgres', "SELECT cache_rule_drop($id)");
	$session->quit;
	return;
}

my ($before, @ids) = with_libraries('before', 'pg_stat_statements, cachekit');
effects($before);
lasting($before, @ids);
sound($before, 'at the end');
$before->stop;

my ($after) = with_libraries('after', 'cachekit, pg_stat_statements');
effects($after);

# The extension without its library: no row, and no error.
$after->append_conf('postgresql.conf', "shared_preload_libraries = 'cachekit'\n");
$after->restart;
my $rules = $after->safe_psql('postgres', 'SELECT count(*), count(calls), count(query) FROM cachekit_rules');
is($rules, '2|0|1', 'pg_stat_statements not loaded: the rules');
is($after->safe_psql('postgres', 'SELECT count(*) FROM cachekit_advice'), '0',
	'pg_stat_statements not loaded: no advice');
is($after->safe_psql('postgres', 'SELECT DISTINCT state FROM cachekit_rules'), 'no_query_id',
	'nobody computes query identifiers');
$after->stop;

# Tags need shared memory: without it rules have no effect, and do no harm.
my $poor;
{
	local $ENV{CACHEKIT_MODE} = 'ondemand';
	$poor = new_node('poor', "dynamic_shared_memory_type = mmap\ncompute_query_id = on\n");
}
$poor->start;
$poor->safe_psql('postgres', q{CREATE EXTENSION cachekit;
	CREATE TABLE t AS SELECT 1 AS a; SELECT cache_rule_create(1, tags => '{a}')});
my $directory = $poor->data_dir . '/pg_dynshmem';
my $session = $poor->background_psql('postgres', on_error_stop => 0);
chmod(0, $directory) or die "$directory: $!";
SKIP:
{
	skip 'permissions do not bind this user', 2 if opendir(my $d, $directory);
	is($session->query('SELECT cachekit_stat_rule(1); SELECT a FROM t; SELECT cachekit_stat_rule(1)'),
		"inactive\n1\ninactive", 'no memory, no rules');
	is(scalar(() = $session->{stderr} =~ /WARNING|ERROR/g), 1, 'and one warning');
}
chmod(0700, $directory) or die "$directory: $!";
$session->quit;
is($poor->safe_psql('postgres', 'SELECT cachekit_stat_rule(1)'), 'active', 'with memory');
$poor->stop;

done_testing();
