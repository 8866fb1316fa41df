@swarm
Feature: An overlay network of Docker Swarm
  Document 002 deploys its stack into one. Whether clients, agents, members of the DCS and standbys reach each other is found out here; how
  long anything takes is not, for on one machine such a network says nothing of one between machines. The engine must be a manager of a
  swarm: `docker swarm init --advertise-addr 127.0.0.1`.

  Scenario: Everybody is reached, before and after another node leads
    Given the topology "swarm-overlay"
    And 4 clients writing 25 rows per second each
    When an operator switches over to "node2"
    And clients can write again
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes
