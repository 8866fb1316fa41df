Feature: Two regions
  Document 000: a Patroni cluster in one region, and a standby cluster in another one that streams from it over a WAN link
  and refuses writes. A failure inside the first region must not reach the second, and the second must not lose its place
  in the WAL.

  @documented @two_region
  @claim:SLOT-HOLDS @claim:WRITE-BLOCKED @claim:SAME-SCOPE @claim:NO-SPLIT-BRAIN @claim:XLAG-STREAM @claim:READ-7030
  Scenario: The primary's host dies, and the other region follows the new primary
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When the host of the primary of east dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes
    And the region that follows accepts no write
    And the slot of the region that follows is never lost
    And the reads of a session never go back
    And no cluster disturbs the DCS of another one
    And names lead clients by their weights

  # What an operator does when a region is gone, with the time of each step. Nobody waits for a decision here: what the
  # document calls "minutes" is the time of people, and comes on top.
  @documented @two_region
  @claim:REGION-RTO @claim:REGION-RPO @claim:XLAG-STREAM @claim:WRITE-BLOCKED @claim:DNS-TTL @claim:NO-SPLIT-BRAIN
  Scenario: A region is lost, and the other one is promoted
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When region us-east-1 loses power
    And an operator confirms the loss of the cluster "east"
    And an operator promotes the cluster "west"
    And clients are pointed at the cluster "west"
    And clients can write again
    And the cluster "east" is given up
    Then never do two nodes accept writes
    And every client writes to the new cluster within 61 s

  # The other variant: nobody points the name elsewhere, it follows the health of its hosts. It does so before the second
  # region is promoted, and clients meet a balancer without a primary until then.
  @documented @two_region
  @claim:REGION-RTO @claim:REGION-RPO @claim:DNS-TTL @claim:NO-SPLIT-BRAIN
  Scenario: A region is lost, and clients follow a name whose hosts are health-checked
    Given the topology "two-region"
    And clients of "write" connect to "db-failover"
    And clients of "read" connect to "db-read.us-west-2"
    And 4 clients writing 25 rows per second each
    When region us-east-1 loses power
    And an operator confirms the loss of the cluster "east"
    And an operator promotes the cluster "west"
    And clients can write again
    And the cluster "east" is given up
    Then never do two nodes accept writes
    And every client writes to the new cluster within 61 s

  # The document's own words: where they put `standby_cluster` Patroni does not read it, so the second region becomes a
  # cluster of its own, and accepts writes.
  @documented @two_region
  @claim:WRITE-BLOCKED @claim:SLOT-HOLDS @claim:NO-SPLIT-BRAIN
  Scenario: The second region as the document writes it
    Given the topology "two-region-as-written"
    And 4 clients writing 25 rows per second each
    When the host of the primary of east dies
    And clients can write again
    And the fault is healed
    Then never do two nodes accept writes

  # The planned switchover, in order: writes stop, the other region catches up, every PostgreSQL of the first region is shut
  # down (`patronictl pause --wait`, which the document takes for that, stops nothing), the other one is promoted, clients
  # are pointed there, and the first region comes back as the standby.
  @documented @two_region
  @claim:PLANNED-REGION @claim:NO-SPLIT-BRAIN
  Scenario: A region hands over to the other one, and comes back as its standby
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When writes to the primary of east are stopped
    And the cluster "west" has caught up
    And Docker stops "patroni" on the standbys of east
    And Docker stops "patroni" on east1, east2 and east3
    And an operator promotes the cluster "west"
    And clients are pointed at the cluster "west"
    And clients can write again
    And an operator makes the cluster "east" follow the cluster "west"
    And the fault is healed
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes

  # The databases of a region die without an order, and are made a standby before they come back: the agents rewind what
  # never reached the other region.
  @documented @two_region
  @claim:REGION-RTO @claim:REGION-RPO @claim:RECOVER-REWIND @claim:NO-SPLIT-BRAIN
  Scenario: The databases of a region are lost, and come back as the other one's standby
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When the fault "service_kill" hits the nodes of east
      | service | patroni |
    And an operator confirms the loss of the cluster "east"
    And an operator promotes the cluster "west"
    And clients are pointed at the cluster "west"
    And clients can write again
    And an operator makes the cluster "east" follow the cluster "west"
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes

  # What the document describes stops at the promotion. The agents of the first region know nothing of it.
  @documented @two_region
  @claim:NO-SPLIT-BRAIN
  Scenario: The old region comes back after the other one was promoted
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When region us-east-1 loses power
    And an operator confirms the loss of the cluster "east"
    And an operator promotes the cluster "west"
    And clients are pointed at the cluster "west"
    And clients can write again
    And the fault is healed
    Then never do two nodes accept writes

  # A new standby leader holds the key after ttl, and streams only when the primary has given up the dead one's session, which
  # keeps the slot in use: that is wal_sender_timeout, 60 s. Until then the region gets nothing.
  @documented @two_region
  @claim:CASCADE @claim:WRITE-BLOCKED @claim:NO-SPLIT-BRAIN
  Scenario: The standby leader's host dies, and another node of its region follows in its place
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When the host of the standby leader of west dies
    And 35 s to 40 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And standbys of the region that follows stream from its leader
    And the region that follows has no leader for at most 75 s
    And never do two nodes accept writes

  # The slot keeps the WAL that the other region has not got, and it catches up by itself.
  @documented @two_region
  @claim:SLOT-HOLDS @claim:XLAG-STREAM @claim:NO-SPLIT-BRAIN
  Scenario: The link between the regions is cut
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When region us-east-1 is partitioned from region us-west-2
    And 20 s to 25 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # One way alone: what the second region asks for does not reach the first, and what the first sends arrives.
  @documented @two_region
  @claim:SLOT-HOLDS @claim:WRITE-BLOCKED @claim:NO-SPLIT-BRAIN
  Scenario: The link between the regions is cut in one direction
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When nothing from region us-west-2 reaches region us-east-1
    And 20 s to 25 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And the region that follows accepts no write

  # A slow link delays what the second region sees, and no commit in the first one.
  @documented @two_region
  @claim:XLAG-STREAM @claim:NO-SPLIT-BRAIN
  Scenario: The link between the regions is slow
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When a round trip from region us-west-2 to region us-east-1 takes 1000 ms longer
    And 10 s to 11 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no client waits longer than 1 s for a write
    And no acknowledged write is lost

  # Both leaders at once: the standby cluster elects a leader of its own while whom it follows elects a primary.
  @documented @two_region
  @claim:CASCADE @claim:SLOT-HOLDS @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host and the standby leader's host die together
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When the primary of east and the standby leader of west lose power
    And clients can write again
    And 10 s to 12 s have passed
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes
    And the slot of the region that follows is never lost
    And standbys of the region that follows stream from its leader

  # The region boots between the decision and the promotion: its agents believe in it, and clients are still led there.
  @documented @two_region
  @claim:NO-SPLIT-BRAIN
  Scenario: The old region comes back in the middle of the runbook
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When region us-east-1 loses power
    And an operator confirms the loss of the cluster "east"
    And an operator promotes the cluster "west"
    And the fault is healed
    And clients are pointed at the cluster "west"
    And clients can write again
    Then never do two nodes accept writes

  # A slot that no configuration names: standbys drop their copies of it, and a new primary does not have it. West can't stream
  # until the operator names it again, and nothing held the WAL meanwhile.
  @documented @two_region @control:slot
  Scenario: The slot of the other region is taken out of the configuration before the primary dies
    Given the topology "two-region"
    And 4 clients writing 25 rows per second each
    When the fault "configuration_change" hits the primary of east
      | key   | slots.standby_cluster |
      | value | null                  |
    And 21 s to 25 s have passed
    And the host of the primary of east dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the slot of the region that follows is never lost
