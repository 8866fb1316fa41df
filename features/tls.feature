Feature: Everything over TLS
  Document 002 has PostgreSQL and etcd speak TLS, has etcd ask for certificates of clients, and has pg_hba refuse the rest.

  @quick @tls @claim:TLS-AUTH @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies where everything speaks TLS
    Given the topology "tls"
    And the Patroni setting "loop_wait" is "3"
    And the Patroni setting "retry_timeout" is "5"
    And the Patroni setting "ttl" is "20"
    And the Patroni setting "synchronous_mode" is "on"
    And 4 clients writing 25 rows per second each
    When connections that must fail are tried
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And every session with PostgreSQL is encrypted
    And connections that must fail do
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

  # XTLS of document 000: the standby leader streams from another region.
  @tls @claim:XTLS @claim:TLS-AUTH @claim:NO-SPLIT-BRAIN
  Scenario: Replication across regions is encrypted, and plain is refused
    Given the topology "two-region-tls"
    And 4 clients writing 25 rows per second each
    When connections that must fail are tried
    And 5 s to 6 s have passed
    Then replication is encrypted
    And every session with PostgreSQL is encrypted
    And connections that must fail do
    And no acknowledged write is lost
    And never do two nodes accept writes

  # Document 002's pg_hba admits replication alone between nodes. pg_rewind is no replication.
  @tls @claim:RECOVER-REWIND @claim:TLS-AUTH @claim:NO-SPLIT-BRAIN
  Scenario Outline: The old primary comes back under document 002's pg_hba
    Given the topology "<topology>"
    And the Patroni setting "loop_wait" is "3"
    And the Patroni setting "retry_timeout" is "5"
    And the Patroni setting "ttl" is "20"
    And 4 clients writing 25 rows per second each
    When connections that must fail are tried
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the node that was lost follows the new primary within 60 s
    And connections that must fail do

    Examples:
      | topology       |
      | hba-as-written |
      | hba-corrected  |

  # Connections that are open stay open, so the leader may keep its lease; every new one is refused, by clients and by HAProxy's checks. Where an
  # open one to etcd breaks, the leader steps down. Nobody sees then what the node does, because observers refuse its certificate too: that is in doubt.
  @tls @claim:NO-SPLIT-BRAIN
  Scenario Outline: The certificate of the primary is no good any more
    Given the topology "tls"
    And 4 clients writing 25 rows per second each
    When the certificate of the primary <fault>
    And 15 s to 16 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 60 s
    And no acknowledged write is lost
    And every session with PostgreSQL is encrypted
    And never do two nodes accept writes

    Examples:
      | fault                   |
      | expires                 |
      | is of another authority |
      | has another name        |

  # Who looks at the list of revoked certificates are the standbys: one that has to connect anew is refused by itself.
  @tls @claim:NO-SPLIT-BRAIN
  Scenario: The certificate of the primary is revoked, and a standby has to connect anew
    Given the topology "tls"
    And 4 clients writing 25 rows per second each
    When the certificate of the primary is revoked
    And the WAL receiver on a standby is killed
    And 10 s to 11 s have passed
    And the fault is healed
    And every node has rejoined
    Then no acknowledged write is lost
    And every session with PostgreSQL is encrypted
    And never do two nodes accept writes

  # Through a virtual address, a balancer and a pooler, each of which passes TLS on or ends it.
  @tls @claim:TLS-AUTH @claim:NO-SPLIT-BRAIN
  Scenario: Document 002 as drawn, over TLS
    Given the topology "documented-ha-tls"
    And 4 clients writing 25 rows per second each
    When connections that must fail are tried
    And 5 s to 6 s have passed
    Then every session with PostgreSQL is encrypted
    And connections that must fail do
    And no acknowledged write is lost
    And never do two nodes accept writes
