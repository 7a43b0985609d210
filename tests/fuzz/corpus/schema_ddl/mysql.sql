/*!40101 SET NAMES utf8 */;
DROP TABLE IF EXISTS `orders`;
CREATE TABLE `order items` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT, # comment
  `n` int(11) unsigned zerofill DEFAULT NULL,
  `small` tinyint(1) NOT NULL DEFAULT '0',
  `status` enum('NEW','it\'s','done') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'NEW' COMMENT 'the state',
  `flags` set('a','b'), `doc` json, `body` mediumtext, `price` decimal(10,2), `plain` decimal,
  `at` datetime(6), `y` year, `b` bit(1), `blob` longblob,
  `updated_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  `customer_id` int NOT NULL,
  PRIMARY KEY (`id`) USING BTREE,
  UNIQUE KEY `u` (`n`), KEY `k` (`body`(20), `n` DESC), FULLTEXT KEY `ft` (`body`), INDEX (n),
  CONSTRAINT `fk` FOREIGN KEY (`customer_id`) REFERENCES `customers` (`id`) ON DELETE CASCADE ON UPDATE NO ACTION
) ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4 COMMENT='all \'items\'';
CREATE TABLE customers (id int PRIMARY KEY, updated_at timestamp NOT NULL);
INSERT INTO customers VALUES (1, 'a;b\'; CREATE TABLE x (i int)');
