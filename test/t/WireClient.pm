# WireClient.pm
#   A client that speaks the frontend/backend protocol message by message,
#   for what no driver at hand does: fetching parts of a portal, several
#   portals at once, messages sent ahead.  Trust authentication over a unix
#   socket only.

package WireClient;

use strict;
use warnings;

use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);

# new(SERVER, DATABASE): connected and idle.
sub new
{
	my ($class, $node, $database) = @_;
	my $path = $node->host . '/.s.PGSQL.' . $node->port;
	my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $path)
	  or die "cannot connect to $path: $!";
	my $self = bless { socket => $socket, out => '' }, $class;
	my $user = getpwuid($>);
	my $startup = pack('N', 196608) . "user\0$user\0database\0$database\0\0";

	$self->{out} = pack('N', length($startup) + 4) . $startup;
	$self->flush->until_ready;
	return $self;
}

# message(TYPE, CONTENT): kept until it is flushed.
sub message
{
	my ($self, $type, $content) = @_;

	$self->{out} .= $type . pack('N', length($content // '') + 4) . ($content // '');
	return $self;
}

sub flush
{
	my ($self) = @_;

	print {$self->{socket}} $self->{out};
	$self->{socket}->flush;
	$self->{out} = '';
	return $self;
}

sub parse
{
	my ($self, $statement, $sql) = @_;

	return $self->message('P', "$statement\0$sql\0" . pack('n', 0));
}

# bind(PORTAL, STATEMENT, RESULT-FORMAT, ARGUMENTS-AS-TEXT...): 1 is binary.
sub bind
{
	my ($self, $portal, $statement, $format, @arguments) = @_;
	my $content = "$portal\0$statement\0" . pack('nn', 0, scalar @arguments);

	$content .= pack('N/a*', $_) foreach @arguments;
	return $self->message('B', $content . pack('nn', 1, $format));
}

sub describe { my ($self, $kind, $name) = @_; return $self->message('D', "$kind$name\0"); }
sub execute { my ($self, $portal, $rows) = @_; return $self->message('E', "$portal\0" . pack('N', $rows)); }
sub close { my ($self, $kind, $name) = @_; return $self->message('C', "$kind$name\0"); }
sub sync { my ($self) = @_; return $self->message('S')->flush->until_ready; }
sub query { my ($self, $sql) = @_; return $self->message('Q', "$sql\0")->flush->until_ready; }

# until_ready: the server's messages up to ReadyForQuery, each as
# "type content", without those that are not part of an answer.
sub until_ready
{
	my ($self) = @_;
	my ($type, @messages) = ('');

	while ($type ne 'Z')
	{
		($type, my $length) = unpack('aN', $self->receive(5));
		my $content = $self->receive($length - 4);

		push @messages, "$type $content" unless $type =~ /[RSKN]/;
	}
	return @messages;
}

sub receive
{
	my ($self, $length) = @_;
	my $data = '';

	while (length($data) < $length)
	{
		read($self->{socket}, $data, $length - length($data), length($data))
		  or die 'the server closed the connection';
	}
	return $data;
}

sub quit
{
	my ($self) = @_;

	$self->message('X')->flush;
	return CORE::close($self->{socket});
}

1;
