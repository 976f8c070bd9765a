# Logical replication into sources of denormalized tables: what the apply
# worker changes is followed, whether the target was made before or after the
# subscription; and not without the trigger that is there for it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my ($from, $to) = new_publication();

my $tables = q{
	CREATE TABLE c (id int PRIMARY KEY, r text);
	CREATE TABLE o (id int PRIMARY KEY, c int, v int);
	CREATE TABLE e (id int PRIMARY KEY, c int) PARTITION BY RANGE (id);
	CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM (0) TO (100);
};
$from->safe_psql('postgres', $tables);
$to->safe_psql('postgres', "CREATE EXTENSION cachekit; $tables");
$from->safe_psql('postgres', q{
	INSERT INTO c SELECT i, 'r' || i % 3 FROM generate_series(1, 9) i;
	INSERT INTO o SELECT i, 1 + i % 9, i FROM generate_series(1, 40) i;
	INSERT INTO e SELECT i, 1 + i % 9 FROM generate_series(1, 40) i;
	CREATE PUBLICATION pub FOR TABLE c, o, e WITH (publish_via_partition_root = true)});

my %targets = (
	before_it => q{'SELECT c.id, c.r, count(o.id) AS n, sum(o.v) AS v FROM c LEFT JOIN o ON o.c = c.id GROUP BY c.id', '{id}'},
	own_key => q{'SELECT c, count(*) AS n FROM o GROUP BY c', '{c}', 'deferred'},
	late => q{'SELECT c.r, count(*) AS n FROM c JOIN o ON o.c = c.id GROUP BY c.r', '{r}', 'async'},
	parts => q{'SELECT c, array_agg(id ORDER BY id) AS ids FROM e GROUP BY c', '{c}'});

sub make { $to->safe_psql('postgres', "SELECT denorm_create('$_', $targets{$_})") for @_; }

# change(SQL): on the publisher, until the subscriber has applied it
sub change
{
	$from->safe_psql('postgres', $_[0]);
	$from->wait_for_catchup('sub');
}

sub wrong
{
	$to->safe_psql('postgres', 'SELECT denorm_wait()');
	return $to->safe_psql('postgres',
		q{SELECT d.target, v.* FROM cachekit_denorm d, denorm_verify(d.target) v ORDER BY 1, 2});
}

make(qw(before_it own_key));
my $connection = $from->connstr . ' dbname=postgres';
$to->safe_psql('postgres',
	"CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION pub");
make(qw(late parts));
$to->wait_for_subscription_sync($from, 'sub');
is(wrong(), '', 'synchronised');
is($to->safe_psql('postgres', 'SELECT count(*) FROM before_it'), '9', 'all there');

for my $sql (
	'INSERT INTO o VALUES (100, 3, 7), (101, 4, 8)',
	'UPDATE o SET c = 5 WHERE id IN (100, 7)',
	'DELETE FROM o WHERE id < 5',
	q{UPDATE c SET r = 'new' WHERE id = 3},
	'DELETE FROM o WHERE c = 2; DELETE FROM c WHERE id = 2',
	'BEGIN; DELETE FROM o WHERE c = 6; UPDATE c SET id = 60 WHERE id = 6; INSERT INTO o VALUES (200, 60, 1); COMMIT',
	'UPDATE e SET c = 4 WHERE id % 5 = 0; DELETE FROM e WHERE id = 1; INSERT INTO e VALUES (77, 3)',
	'TRUNCATE e')
{
	change($sql);
	is(wrong(), '', $sql);
}
is($to->safe_psql('postgres', 'SELECT n, v FROM before_it WHERE id = 60'), '1|1', 'as it should be');

# a partition that is made later
$_->safe_psql('postgres', 'CREATE TABLE e_2 PARTITION OF e FOR VALUES FROM (100) TO (200)')
  for $to, $from;
change('INSERT INTO e VALUES (1, 1), (150, 1)');
is(wrong(), '', 'a new partition');

# both kinds of triggers at once
$to->safe_psql('postgres',
	q{SET session_replication_role = replica; UPDATE o SET c = 1 WHERE c = 3; DELETE FROM e});
is(wrong(), '', 'session_replication_role = replica');

# without the trigger
$to->safe_psql('postgres', 'ALTER TABLE o DISABLE TRIGGER cachekit_denorm_apply');
change('INSERT INTO o VALUES (300, 1, 1)');
isnt(wrong(), '', 'not followed without the trigger');
$to->safe_psql('postgres', 'ALTER TABLE o ENABLE REPLICA TRIGGER cachekit_denorm_apply;
	SELECT denorm_refresh(target) FROM cachekit_denorm');
is(wrong(), '', 'repaired');

# by hand, for those who attach no triggers
$to->safe_psql('postgres', q{
	SELECT denorm_create('by_hand', 'SELECT c, max(v) AS v FROM o GROUP BY c', '{c}', attach => false);
	CREATE TRIGGER mine AFTER INSERT OR UPDATE OR DELETE ON o
		FOR EACH ROW EXECUTE FUNCTION denorm_refresh_row('public.by_hand', 'c');});
change('UPDATE o SET v = 1000 WHERE id = 300');
isnt(wrong(), '', 'a trigger by hand that is not enabled for it');
$to->safe_psql('postgres', q{ALTER TABLE o ENABLE ALWAYS TRIGGER mine; SELECT denorm_refresh('by_hand')});
change('UPDATE o SET v = 2000, c = 4 WHERE id = 300');
is(wrong(), '', 'one that is');

$to->safe_psql('postgres', 'DROP TRIGGER mine ON o; SELECT denorm_drop(target) FROM cachekit_denorm');
is($to->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'cachekit\_denorm%'}),
	'0', 'all triggers are removed');
$to->safe_psql('postgres', 'DROP SUBSCRIPTION sub');
unlike(slurp_file($to->logfile), qr/TRAP:|PANIC:|terminated by signal/, 'log');
sound($to, 'at the end');
$to->stop;
$from->stop;
done_testing();
