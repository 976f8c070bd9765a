# The extended query protocol: portals fetched in part, several at once, binary
# results, messages sent ahead.  Each conversation is held twice, with the
# statements hinted and with the same statements direct, and the server's
# messages must be the same, byte for byte.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;
use WireClient;

my $node = new_node('protocol');		# in the mode of CACHEKIT_MODE
my $list = 'SELECT id, v, t, n FROM acc ORDER BY id';

$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE acc (id int PRIMARY KEY, v int, t varchar(20), n numeric(8, 2));
	SELECT cache_track('acc');
});

# fresh: the table as it was.
sub fresh
{
	$node->safe_psql('postgres', q{
		TRUNCATE acc;
		INSERT INTO acc SELECT g, g * 10, 'row ' || g, g / 3.0 FROM generate_series(1, 5) g;
		INSERT INTO acc VALUES (6, NULL, NULL, NULL);
		SELECT cache_flush(), cache_reset_stats();
	});
	return;
}

# Another session commits while the conversation goes on.
sub meanwhile { my ($sql) = @_; $node->safe_psql('postgres', $sql); return; }

# readable(MESSAGES): one per line, for the test's output.
sub readable
{
	return join "\n", map { s/([^ -~])/sprintf('\\%02x', ord $1)/ger } @_;
}

# same(LABEL, CONVERSATION, EXPECTED-COUNTS): the conversation gets a client
# and the hint to write before its statements; returns the messages.
sub same
{
	my ($label, $conversation, %expected) = @_;
	my (%messages, %count);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $hint ('nocache', 'cachekit')
	{
		fresh();
		my $client = WireClient->new($node, 'postgres');

		$client->query(q{LOAD 'cachekit'});
		$messages{$hint} = readable($conversation->($client, "/*+ $hint */ "));
		$client->quit;
		%count = %{counters($node)};
	}
	is($messages{cachekit}, $messages{nocache}, $label);
	unlike($messages{cachekit}, qr/^E /m, "$label: no error")
	  unless delete $expected{errors};
	is($count{$_}, $expected{$_}, "$label: $_") foreach sort keys %expected;
	return $messages{cachekit};
}

my $said = same('the whole at once', sub {
	my ($c, $hint) = @_;
	my @all;

	foreach (1 .. 3)
	{
		push @all, $c->parse('', $hint . $list)->describe('S', '')
		  ->bind('', '', 0)->describe('P', '')->execute('', 0)->sync;
	}
	return @all;
}, misses => 1, hits => 2);
is(() = $said =~ /^D /mg, 18, 'the whole at once: three times six rows');
is(() = $said =~ /^C SELECT 6/mg, 3, 'the whole at once: their number');

same('a part, then no more', sub {
	my ($c, $hint) = @_;
	my @all;

	foreach (1 .. 2)
	{
		push @all, $c->parse('', $hint . $list)->bind('', '', 0)
		  ->execute('', 2)->sync;
	}
	return (@all, $c->query($hint . $list), $c->query($hint . $list));
}, misses => 3, hits => 1);

$said = same('in parts', sub {
	my ($c, $hint) = @_;
	my @all = $c->query('BEGIN');

	push @all, $c->parse('', $hint . $list)->bind('p', '', 0)->describe('P', 'p')
	  ->execute('p', 2)->execute('p', 2)->execute('p', 2)->execute('p', 2)->sync;
	return (@all, $c->query('COMMIT'), $c->query($hint . $list));
}, misses => 1, hits => 1);
is(() = $said =~ /^s /mg, 3, 'in parts: suspended three times');

# The same from an entry, which goes away in between.
foreach my $event ('SELECT cache_flush()', 'UPDATE acc SET v = v + 1',
	'DELETE FROM acc WHERE id > 2', q{UPDATE acc SET t = repeat('x', 20), n = -1})
{
	foreach my $filled (0, 1)
	{
		my $label = ($filled ? 'a hit' : 'a miss') . " in parts, and $event";

		same($label, sub {
			my ($c, $hint) = @_;
			my @all = $filled ? $c->query($hint . $list) : ();

			push @all, $c->query('BEGIN');
			push @all, $c->parse('', $hint . $list)->bind('p', '', 0)
			  ->execute('p', 2)->sync;
			meanwhile($event);
			push @all, $c->execute('p', 1)->sync;
			meanwhile($event);
			push @all, $c->execute('p', 0)->sync;
			return (@all, $c->query('COMMIT'), $c->query($hint . $list),
				$c->query($hint . $list));
		}, misses => 2, hits => 1 + $filled);
	}
}

same('two portals by turns', sub {
	my ($c, $hint) = @_;
	my @all = $c->query('BEGIN');

	push @all, $c->parse('s', $hint . $list)->bind('p', 's', 0)
	  ->bind('q', 's', 1)->execute('p', 3)->execute('q', 1)->sync;
	meanwhile('UPDATE acc SET v = v + 1');
	push @all, $c->bind('r', 's', 0)->execute('r', 2)->execute('p', 1)
	  ->execute('q', 0)->execute('r', 0)->execute('p', 0)->sync;
	return (@all, $c->close('P', 'p')->close('S', 's')->sync, $c->query('COMMIT'));
});

same('text and binary', sub {
	my ($c, $hint) = @_;
	my @all;

	foreach my $format (0, 1, 0, 1)
	{
		push @all, $c->parse('', $hint . $list)->bind('', '', $format)
		  ->describe('P', '')->execute('', 0)->sync;
	}
	return @all;
}, misses => 1, hits => 3);

same('own writes between two parts', sub {
	my ($c, $hint) = @_;
	my @all = $c->query('BEGIN');

	push @all, $c->parse('', $hint . $list)->bind('p', '', 0)->execute('p', 2)->sync;
	push @all, $c->query('UPDATE acc SET v = -v');
	push @all, $c->execute('p', 0)->sync, $c->query($hint . $list);
	return (@all, $c->query('ROLLBACK'), $c->query($hint . $list));
});

same('a table is in use while its rows are asked for in parts', sub {
	my ($c, $hint) = @_;
	my @all = $c->query($hint . $list);

	push @all, $c->query('BEGIN');
	push @all, $c->parse('', $hint . $list)->bind('p', '', 0)->execute('p', 2)->sync;
	push @all, $c->query('ALTER TABLE acc ADD more int'), $c->query('ROLLBACK');
	return @all;
}, hits => 1, misses => 1, errors => 1);

same('an error between two parts', sub {
	my ($c, $hint) = @_;
	my @all = $c->query('BEGIN');

	push @all, $c->parse('', $hint . $list)->bind('p', '', 0)->execute('p', 2)->sync;
	push @all, $c->query('SELECT 1 / 0'), $c->execute('p', 0)->sync;
	return (@all, $c->query('ROLLBACK'), $c->query($hint . $list));
}, errors => 1);

same('a savepoint is rolled back between two parts', sub {
	my ($c, $hint) = @_;
	my @all = $c->query('BEGIN');

	push @all, $c->parse('s', $hint . $list)->bind('p', 's', 0)->execute('p', 2)->sync;
	push @all, $c->query('SAVEPOINT a');
	push @all, $c->bind('q', 's', 0)->execute('q', 1)->execute('p', 1)->sync;
	push @all, $c->query('ROLLBACK TO a'), $c->execute('p', 0)->sync;
	return (@all, $c->query('COMMIT'), $c->query($hint . $list));
}, errors => 1);

# Five custom plans, then a generic one, and another parameter now and then.
same('a prepared statement, ten times', sub {
	my ($c, $hint) = @_;
	my @all = $c->parse('s', "${hint}SELECT id, v FROM acc WHERE id >= \$1 ORDER BY id")
	  ->describe('S', 's')->sync;

	foreach my $i (1 .. 10)
	{
		push @all, $c->bind('', 's', 0, $i % 2 ? 1 : 4)->execute('', 0)->sync;
		meanwhile('UPDATE acc SET v = v + 1') if $i % 4 == 0;
	}
	return @all;
}, misses => 6, hits => 4);

same('the columns change under a prepared statement', sub {
	my ($c, $hint) = @_;
	my @all = $c->parse('s', "${hint}SELECT id, t FROM acc ORDER BY id")
	  ->bind('', 's', 0)->execute('', 0)->sync;

	meanwhile('ALTER TABLE acc ALTER t TYPE text');
	push @all, $c->bind('', 's', 0)->execute('', 0)->sync;
	meanwhile('ALTER TABLE acc ALTER t TYPE varchar(20)');
	return @all;
}, errors => 1);

same('sent ahead', sub {
	my ($c, $hint) = @_;

	foreach my $i (1 .. 3)
	{
		$c->parse('', $hint . $list)->bind('', '', 0)->execute('', 0);
		$c->parse('', "UPDATE acc SET v = v + $i")->bind('', '', 0)->execute('', 0);
		$c->parse('', $hint . $list)->bind('', '', 0)->execute('', 0);
	}
	return ($c->sync, $c->query($hint . $list));
}, misses => 2, bypasses => 5);

# psql fetches by a cursor.
foreach my $round ('computed', 'cached')
{
	is($node->safe_psql('postgres', "LOAD 'cachekit';\n\\set FETCH_COUNT 2\n/*+ cachekit */ $list;"),
		$node->safe_psql('postgres', $list), "psql with FETCH_COUNT, $round");
}

sound($node, 'protocol');
$node->stop;
done_testing();
