Feature: Patroni's failsafe with etcd 3.6, before and after it was mended
  patroni #3572. A member of etcd that has no leader answers a renewal of a lease with an error, "no leader", once its own limit of
  7 s is over. The error is worded in another way since etcd 3.6, and Patroni 4.1.0 does not understand it: it takes the leader key
  for lost and demotes its primary at once, although failsafe_mode is on and every member of the cluster answers. 4.1.1 and later
  read it. An agent waits for one of three members for a third of retry_timeout, so that has to be longer than 21 s here. The two
  scenarios differ in Patroni's version alone. etcd 3.5 as Debian builds it words the error as 3.6 does, and is no way around it.

  # It fails, and is right to: the primary demotes itself, and nobody can take over without the DCS.
  @nightly @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd 3.6 has no leader, and Patroni is 4.1.0
    Given the topology "single-region"
    And the version of "etcd" is "3.6"
    And the version of "patroni" is "4.1.0"
    And the Patroni setting "failsafe_mode" is "on"
    And the Patroni setting "ttl" is "60"
    And the Patroni setting "retry_timeout" is "25"
    And 4 clients writing 25 rows per second each
    When the service "etcd" on node2 and node3 dies
    And 45 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And never do two nodes accept writes

  @nightly @versions @claim:ETCD-LOST @claim:NO-SPLIT-BRAIN
  Scenario: etcd 3.6 has no leader, and Patroni is 4.1.5
    Given the topology "single-region"
    And the version of "etcd" is "3.6"
    And the version of "patroni" is "4.1.5"
    And the Patroni setting "failsafe_mode" is "on"
    And the Patroni setting "ttl" is "60"
    And the Patroni setting "retry_timeout" is "25"
    And 4 clients writing 25 rows per second each
    When the service "etcd" on node2 and node3 dies
    And 45 s to 50 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the primary stays
    And no acknowledged write is lost
    And never do two nodes accept writes
