# Mail::IMAPTalk (Debian's libmail-imaptalk-perl, with which Cyrus tests its own server), driven by test_imaptalk.py:
# `perl imaptalk.pl PORT USER ACT`, the password on standard input. The library writes the commands (quoting, literals,
# tags) and reads the answers; each act prints what it made of them, as JSON.

use strict;
use warnings;
use JSON::PP;
use Mail::IMAPTalk;

my ($port, $user, $act) = @ARGV;
chomp(my $password = <STDIN>);

sub client {
    # Without TLS: a record of TLS 1.3 that has no octets of ours it takes for the connection's end.
    my $imap = Mail::IMAPTalk->new(Server => '127.0.0.1', Port => $port, Username => $user, Password => $password, Uid => 1, Pedantic => 1);
    return $imap // die "no connection: $@";
}

# Says a command that the library has no method for; gives what it read of the untagged answers of these names, or its complaint.
sub said {
    my ($imap, $names, $command, @arguments) = @_;
    my %told = map { $_ => [] } @$names;
    my %handlers = map {
        my $name = $_;
        $name => sub { my (undef, $atoms, $number) = @_; push @{$told{$name}}, $name eq 'uidfetch' ? [$number, $imap->_next_atom()] : $atoms };
    } @$names;
    my $done = $imap->_imap_cmd($command, 0, \%handlers, @arguments);
    die $@ unless defined $done;
    return @$names == 1 ? $told{$names->[0]} : \%told;
}

# The complaint of what must be refused.
sub refused {
    my ($act) = @_;
    die "not refused" if defined $act->();
    return $@ =~ /(bad|no) - (\[[^\]]*\])?/i ? lc($1) . ' ' . ($2 // '') : $@;
}

sub announces { my ($imap, @names) = @_; my $all = $imap->capability(); return [map { $all->{lc $_} ? JSON::PP::true : JSON::PP::false } @names]; }
sub text { my ($subject) = @_; return { Literal => "Subject: $subject\r\n\r\n$subject\r\n" }; }
sub code { my ($imap, $name) = @_; my $code = delete $imap->{Cache}->{$name}; $code =~ s/^\s+|\s+$//g if defined $code && !ref $code; return $code; }
sub last_tag { my ($imap) = @_; return $imap->{CmdId} - 1 . ''; }

my %acts = (
    # REPLACE.
    replace => sub {
        my $imap = client();
        $imap->select('Drafts') // die $@;
        $imap->append('Drafts', '(\\Draft)', text('old')) // die $@;
        my $missing = refused(sub { $imap->_imap_cmd('uid replace', 0, '', 9, 'Drafts', text('never')) });
        code($imap, 'appenduid');
        said($imap, [], 'uid replace', 1, 'Drafts', '(\\Draft)', text('new'));
        return { announced => announces($imap, 'REPLACE'), missing => $missing, uid => code($imap, 'appenduid')->[1], there => scalar $imap->search('ALL') };
    },
    # LIST-METADATA, LIST-MYRIGHTS.
    lists => sub {
        my $imap = client();
        $imap->setmetadata('INBOX', '/private/comment', 'Mine (all of it)') // die $@;
        my $all = said($imap, [qw(list metadata myrights)], 'list', '', ['INBOX', 'Trash'], 'RETURN', ['METADATA', ['/private/comment'], 'MYRIGHTS']);
        return { announced => announces($imap, 'LIST-METADATA', 'LIST-MYRIGHTS'), names => [map { $_->[2] } @{$all->{list}}],
                 metadata => { map { $_->[0] => { @{$_->[1]} } } @{$all->{metadata}} }, rights => { map { @$_ } @{$all->{myrights}} } };
    },
    # URLAUTH, URLAUTH=BINARY, URL-PARTIAL.
    urls => sub {
        my $imap = client();
        my $of = "imap://$user\@mail.here.test/INBOX/;UID=1/;SECTION=1";
        my $signed = said($imap, ['genurlauth'], 'genurlauth', { Quote => "$of;URLAUTH=user+bob" }, 'INTERNAL')->[0][0];
        my $fetched = said($imap, ['urlfetch'], 'urlfetch', { Quote => $signed })->[0];
        my $binary = said($imap, ['urlfetch'], 'urlfetch', [{ Quote => $signed }, 'BODYPARTSTRUCTURE', 'BINARY'])->[0];
        my $part = "/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(SUBJECT)/;PARTIAL=0.10";
        said($imap, [], 'append', 'Drafts', '(\\Draft)', 'CATENATE', ['URL', { Quote => $part }, 'TEXT', { Literal => "changed\r\n\r\nNew.\r\n" }]);
        said($imap, [], 'resetkey', 'INBOX', 'INTERNAL');
        my $after = said($imap, ['urlfetch'], 'urlfetch', { Quote => $signed })->[0];
        my %binary = map { @$_ } @$binary[1 .. $#$binary];
        return { announced => announces($imap, 'URLAUTH', 'URLAUTH=BINARY', 'URL-PARTIAL'), signed => $signed, same => $fetched->[0] eq $signed,
                 text => $fetched->[1], binary => $binary{BINARY}, structure => $binary{BODYPARTSTRUCTURE}, after => $after->[1] };
    },
    # UIDONLY.
    uidonly => sub {
        my $imap = client();
        my $enabled = $imap->_imap_cmd('enable', 0, 'enabled', 'UIDONLY') // die $@;
        $imap->select('INBOX') // die $@;
        my $numbers = refused(sub { $imap->_imap_cmd('fetch', 0, '', '1', '(FLAGS)') });
        my $fetched = said($imap, ['uidfetch'], 'uid fetch', { Raw => '1:*' }, '(FLAGS RFC822.SIZE)');
        my $stored = said($imap, ['uidfetch'], 'uid store', '2', '+FLAGS', '(\\Deleted)');
        my $gone = said($imap, ['vanished'], 'uid expunge', '2');
        return { enabled => [keys %$enabled], numbers => $numbers, fetched => [map { $_->[0] } @$fetched],
                 items => { @{$fetched->[0][1]} }, stored => $stored, gone => $gone, left => scalar $imap->search('ALL') };
    },
    # UIDBATCHES, and what it is for: each batch is asked for by itself.
    batches => sub {
        my $imap = client();
        $imap->select('INBOX') // die $@;
        my $told = said($imap, ['uidbatches'], 'uidbatches', '500')->[0];
        my @sizes = map { scalar keys %{$imap->fetch($_, '(flags)')} } split /,/, $told->[1];
        return { announced => announces($imap, 'UIDBATCHES'), tag => $told->[0], batches => $told->[1], sizes => \@sizes,
                 second => said($imap, ['uidbatches'], 'uidbatches', '500', '2:2')->[0][1],
                 few => refused(sub { $imap->_imap_cmd('uidbatches', 0, '', '10') }) };
    },
    # MESSAGELIMIT, SAVELIMIT: goes on below what it was told.
    limits => sub {
        my $imap = client();
        $imap->select('INBOX') // die $@;
        my ($below, @rounds) = ('*');
        while (1) {
            push @rounds, [sort { $a <=> $b } keys %{$imap->fetch("1:$below", '(flags)')}];
            my $cut = code($imap, 'messagelimit') // last;
            $below = (split / /, $cut)[1] - 1;
        }
        my $copied = refused(sub { $imap->copy('1:*', 'Archive') });
        $imap->copy('1:2', 'Archive') // die $@;
        return { announced => announces($imap, 'MESSAGELIMIT=3', 'SAVELIMIT=2'), rounds => \@rounds, copied => $copied,
                 uids => code($imap, 'copyuid')->[2] };
    },
    # MULTISEARCH.
    multisearch => sub {
        my $imap = client();
        $imap->create('Lists') // die $@;
        $imap->create('Lists/Rust') // die $@;
        $imap->append('Lists/Rust', text('Banana bread')) // die $@;
        $imap->append('Lists', text('Apple pie')) // die $@;
        my $told = said($imap, ['esearch'], 'esearch', 'IN', ['mailboxes', 'INBOX', 'subtree', 'Lists'], 'RETURN', ['COUNT', 'ALL'], 'SUBJECT', 'Banana');
        my %found;
        for (@$told) {
            my ($about, @what) = @$_;
            my %about = @$about;
            $found{$about{MAILBOX}} = [$about{TAG} eq last_tag($imap) ? 'ours' : $about{TAG}, $about{UIDVALIDITY} > 0 ? 'valid' : 'none', @what];
        }
        return { announced => announces($imap, 'MULTISEARCH'), found => \%found };
    },
    # CONTEXT=SEARCH, CONTEXT=SORT.
    context => sub {
        my ($imap, $other) = (client(), client());
        $_->select('INBOX') // die $@ for $imap, $other;
        my $asked = said($imap, ['esearch'], 'uid search', 'RETURN', '(UPDATE CONTEXT ALL)', 'UNFLAGGED');
        my $search = last_tag($imap);
        my $sorted = said($imap, ['esearch'], 'uid sort', 'RETURN', '(UPDATE ALL)', '(SUBJECT)', 'UTF-8', 'UNDELETED');
        my $sort = last_tag($imap);
        my $of = sub { my %by = ($search => 'search', $sort => 'sort'); return [map { my ($about, @what) = @$_; [$by{$about->[1]}, @what] } @{$_[0]}]; };
        $other->append('INBOX', text('B')) // die $@;
        my $added = said($imap, ['esearch'], 'noop');
        $other->store('1', '+flags', '(\\Flagged)') // die $@;
        my $flagged = said($imap, ['esearch'], 'noop');
        $other->store('2', '+flags', '(\\Deleted)') // die $@;
        $other->expunge() // die $@;
        my $gone = said($imap, ['esearch'], 'noop');
        said($imap, [], 'cancelupdate', { Quote => $search }, { Quote => $sort });
        $other->append('INBOX', text('D')) // die $@;
        my $after = said($imap, ['esearch'], 'noop');
        return { announced => announces($imap, 'CONTEXT=SEARCH', 'CONTEXT=SORT'), map { ($_->[0] => $of->($_->[1])) }
                 ['asked', $asked], ['sorted', $sorted], ['added', $added], ['flagged', $flagged], ['gone', $gone], ['after', $after] };
    },
    # FILTERS.
    filters => sub {
        my $imap = client();
        $imap->setmetadata('', '/private/filters/values/fruit', 'OR SUBJECT Apple SUBJECT "Banana"') // die $@;
        $imap->select('INBOX') // die $@;
        return { announced => announces($imap, 'FILTERS'), found => scalar $imap->search('FILTER', 'fruit'), others => scalar $imap->search('NOT', 'FILTER', 'fruit'),
                 sorted => scalar $imap->sort('(REVERSE SUBJECT)', 'UTF-8', 'FILTER', 'fruit'), none => refused(sub { $imap->search('FILTER', 'none') }) };
    },
    # INPROGRESS.
    progress => sub {
        my $imap = client();
        $imap->select('INBOX') // die $@;
        my $found = $imap->search('NOT', 'BODY', 'no such words', 'NOT', 'BODY', 'nor such words', 'NOT', 'BODY', 'such words neither') // die $@;
        my ($tag, $told) = (last_tag($imap), code($imap, 'inprogress'));
        return { announced => announces($imap, 'INPROGRESS'), found => scalar @$found, told => $told eq qq{("$tag" NIL NIL)} ? 'of this search' : $told };
    },
    # JMAPACCESS.
    jmap => sub {
        my $imap = client();
        return { announced => announces($imap, 'JMAPACCESS'), url => said($imap, ['jmapaccess'], 'getjmapaccess')->[0][0] };
    },
    # UNAUTHENTICATE: one connection, one account after the other.
    unauthenticate => sub {
        my $imap = client();
        my $count = sub { my $status = $imap->status('INBOX', '(messages)') // die $@; return $status->{messages}; };
        $imap->select('INBOX') // die $@;
        my $first = $count->();
        said($imap, [], 'unauthenticate');
        my $between = refused(sub { $imap->_imap_cmd('status', 0, 'status', 'INBOX', '(messages)') });
        $imap->login('ann@here.test', $password) // die $@;
        return { announced => announces($imap, 'UNAUTHENTICATE'), counts => [$first, $count->()], between => $between };
    },
);

my $answer = $acts{$act}->();
print JSON::PP->new->canonical->utf8->encode($answer), "\n";
